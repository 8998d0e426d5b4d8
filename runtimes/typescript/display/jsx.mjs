/** JSX without a framework: `h` and `Fragment` make elements that render to HTML. Main thread. */

import {
  arrayJoin, arrayPush, defineProperty, isArray, keys, objectCreate, regExpExec, regExpReplace, stringIncludes,
  stringToLowerCase,
} from '../shared/primordials.mjs';

/** Elements that have no content and no end tag (HTML standard, "Void elements"). */
const VOID = asSet([
  'area', 'base', 'br', 'col', 'embed', 'hr', 'img', 'input', 'link', 'meta', 'source', 'track', 'wbr',
]);
/** Their text is no markup: it is written as it is. */
const RAW = asSet(['script', 'style']);
/** What React calls otherwise than HTML does. */
const RENAMED = {
  __proto__: null, className: 'class', htmlFor: 'for', httpEquiv: 'http-equiv', acceptCharset: 'accept-charset',
  defaultValue: 'value', defaultChecked: 'checked', xlinkHref: 'xlink:href',
};
/** SVG's own names with capitals; the other camel-cased ones (`strokeWidth`) are written with hyphens. */
const SVG_NAMES = asSet([
  'attributeName', 'baseFrequency', 'clipPathUnits', 'diffuseConstant', 'edgeMode', 'filterUnits', 'gradientTransform',
  'gradientUnits', 'kernelMatrix', 'keyPoints', 'keySplines', 'keyTimes', 'lengthAdjust', 'limitingConeAngle',
  'markerHeight', 'markerUnits', 'markerWidth', 'maskContentUnits', 'maskUnits', 'numOctaves', 'pathLength',
  'patternContentUnits', 'patternTransform', 'patternUnits', 'pointsAtX', 'pointsAtY', 'pointsAtZ', 'preserveAlpha',
  'preserveAspectRatio', 'primitiveUnits', 'refX', 'refY', 'repeatCount', 'repeatDur', 'requiredExtensions',
  'specularConstant', 'specularExponent', 'spreadMethod', 'startOffset', 'stdDeviation', 'stitchTiles', 'surfaceScale',
  'systemLanguage', 'tableValues', 'targetX', 'targetY', 'textLength', 'viewBox', 'xChannelSelector', 'yChannelSelector',
]);
/** First words of SVG's attributes that have a hyphen. */
const SVG_HYPHENATED = new RegExp(`^(?:${[
  'accent', 'alignment', 'arabic', 'baseline', 'cap', 'clip', 'color', 'dominant', 'enable', 'fill', 'flood', 'font',
  'glyph', 'horiz', 'image', 'letter', 'lighting', 'marker', 'overline', 'paint', 'panose', 'pointer', 'rendering',
  'shape', 'stop', 'strikethrough', 'stroke', 'text', 'transform', 'underline', 'unicode', 'units', 'vector', 'vert',
  'word', 'writing', 'x',
].join('|')})[A-Z]`);
/** Style properties whose numbers are no pixels. */
const UNITLESS = asSet([
  'animationIterationCount', 'aspectRatio', 'column', 'columns', 'columnCount', 'fill', 'flex', 'flexGrow',
  'flexShrink', 'fontWeight', 'grid', 'gridArea', 'gridColumn', 'gridRow', 'lineClamp', 'lineHeight', 'opacity',
  'order', 'orphans', 'scale', 'stroke', 'strokeOpacity', 'fillOpacity', 'tabSize', 'widows', 'zIndex', 'zoom',
]);
const ESCAPES = { __proto__: null, '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeOf = (character) => ESCAPES[character];

/** What `<></>` is made of. */
export function Fragment({ children } = {}) {
  return children;
}

/** The value of a JSX expression. Its components run when it is rendered. */
export class JsxElement {
  /** @param {string | Function} type @param {object} props - its attributes, and what it contains as `children` */
  constructor(type, props) {
    this.type = type;
    this.props = props;
  }

  /** The element as HTML. @returns {string} */
  get outerHTML() {
    const parts = [];
    render(this, parts);
    return arrayJoin(parts, '');
  }

  toString() {
    return this.outerHTML;
  }
}

/**
 * Make an element: what `<type {...props}>children</type>` calls.
 * @param {string | Function} type
 * @param {object | null} [props]
 * @param {...any} children
 */
export function h(type, props, ...children) {
  const given = children.length === 0 ? {} : { children: children.length === 1 ? children[0] : children };
  return new JsxElement(type, { ...props, ...given });
}

/** @param {string} text @returns {string} */
export function escapeHtml(text) {
  return regExpReplace(/[&<>"]/g, text, escapeOf);
}

function render(node, parts) {
  if (node === null || node === undefined || typeof node === 'boolean') return;
  if (isArray(node)) return renderAll(node, parts);
  if (node instanceof JsxElement) return renderElement(node, parts);
  if (typeof node === 'object' && typeof node.outerHTML === 'string') arrayPush(parts, node.outerHTML);
  else if (typeof node === 'object' && typeof node[Symbol.iterator] === 'function') renderAll([...node], parts);
  else arrayPush(parts, escapeHtml(`${node}`));
}

function renderAll(nodes, parts) {
  for (let i = 0; i < nodes.length; i++) render(nodes[i], parts);
}

function renderElement({ type, props }, parts) {
  if (typeof type === 'function') return render(callComponent(type, props), parts);
  if (typeof type !== 'string') {
    throw new TypeError(`The type of a JSX element must be a name or a function, got ${typeof type}`);
  }
  arrayPush(parts, `<${type}${attributesOf(props)}>`);
  if (VOID[type]) return;
  const inner = props.dangerouslySetInnerHTML?.__html;
  if (inner !== undefined) arrayPush(parts, `${inner}`);
  else if (RAW[type]) arrayPush(parts, arrayJoin(isArray(props.children) ? props.children : [props.children], ''));
  else render(props.children, parts);
  arrayPush(parts, `</${type}>`);
}

/** A component is a function of its properties, or a class with `render`. */
function callComponent(type, props) {
  if (typeof type.prototype?.render !== 'function') return type(props);
  const instance = new type(props);
  instance.props ??= props;
  return instance.render();
}

function attributesOf(props) {
  let text = '';
  const names = keys(props);
  for (let i = 0; i < names.length; i++) text += attribute(names[i], props[names[i]]);
  return text;
}

function attribute(name, value) {
  if (name === 'children' || name === 'key' || name === 'ref' || name === 'dangerouslySetInnerHTML') return '';
  if (value === null || value === undefined || value === false || typeof value === 'function') return '';
  // Such a name would end the tag.
  if (regExpExec(/[\s"'<>/=]/, name) !== null) return '';
  const written = nameOf(name);
  // `aria-*` and `data-*` have no boolean form.
  if (value === true) return stringIncludes(name, '-') ? ` ${written}="true"` : ` ${written}`;
  return ` ${written}="${escapeHtml(name === 'style' && typeof value === 'object' ? styleOf(value) : `${value}`)}"`;
}

function nameOf(name) {
  if (RENAMED[name] !== undefined) return RENAMED[name];
  if (SVG_NAMES[name]) return name;
  if (stringIncludes(name, '-') || stringIncludes(name, ':')) return name;
  return SVG_HYPHENATED.test(name) ? hyphenated(name) : stringToLowerCase(name);
}

function styleOf(style) {
  const parts = [];
  const names = keys(style);
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    const value = style[name];
    if (value === null || value === undefined || value === false || value === '') continue;
    const isLength = typeof value === 'number' && value !== 0 && !UNITLESS[name] && !stringIncludes(name, '-');
    arrayPush(parts, `${stringIncludes(name, '-') ? name : hyphenated(name)}:${value}${isLength ? 'px' : ''}`);
  }
  return arrayJoin(parts, ';');
}

function hyphenated(name) {
  return regExpReplace(/[A-Z]/g, name, (letter) => `-${stringToLowerCase(letter)}`);
}

function asSet(names) {
  const set = objectCreate(null);
  for (const name of names) set[name] = true;
  return set;
}

/** Define the globals `h` and `Fragment`. */
export function installJsx() {
  const globals = { h, Fragment };
  for (const name of keys(globals)) {
    defineProperty(globalThis, name, { value: globals[name], writable: true, enumerable: false, configurable: true });
  }
}

/**
 * What JSX in a cell makes its elements with: an `h` of the user's own (say, Preact's), else React where the context
 * has it, else ours.
 */
export function jsx(type, props, ...children) {
  const { h: own, React } = globalThis;
  if (typeof own === 'function' && own !== h) return own(type, props, ...children);
  return hasReact(React) ? React.createElement(type, props, ...children) : h(type, props, ...children);
}

/** The counterpart of `jsx` for `<></>`. */
export function currentFragment() {
  const { h: own, Fragment: fragment, React } = globalThis;
  if (typeof own === 'function' && own !== h) return fragment;
  return hasReact(React) ? React.Fragment : Fragment;
}

function hasReact(React) {
  return typeof React?.createElement === 'function';
}
