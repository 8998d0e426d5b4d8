/** Where in a cell's text a position is: in code, a string, a template, a comment; and what is open there. Worker thread, pure. */

const CLOSING = { ')': '(', ']': '[', '}': '{' };
/** After one of these a slash begins a regular expression rather than a division. */
const BEFORE_EXPRESSION = /(?:^|[=(,:;!&|?{}[+\-*%~^<>]|\b(?:return|typeof|case|in|of|new|delete|void|throw|do|else|await|yield))\s*$/;

/**
 * @typedef {object} Place
 * @property {'code' | 'string' | 'template' | 'comment' | 'regexp'} inside
 * @property {number} start - of that string, template, comment or regular expression
 * @property {{bracket: string, at: number}[]} open - brackets that are open, outermost first
 */

/**
 * The place at the end of a text.
 * @param {string} text
 * @returns {Place}
 */
export function placeAtEnd(text) {
  const open = [];
  let at = 0;
  while (at < text.length) {
    const part = partAt(text, at);
    if (part !== null) {
      if (!part.isClosed) return { inside: part.inside, start: at, open };
      at = part.end;
      // A template goes on behind its expression; the bracket says where the template begins.
      if (part.opens) open.push({ bracket: '${', at });
      continue;
    }
    const character = text[at];
    if ('([{'.includes(character)) open.push({ bracket: character, at });
    else if (character === '}' && open.at(-1)?.bracket === '${') {
      open.pop();
      const rest = template(text, at + 1);
      if (!rest.isClosed) return { inside: 'template', start: at, open };
      at = rest.end;
      if (rest.opens) open.push({ bracket: '${', at });
      continue;
    } else if (character in CLOSING && open.at(-1)?.bracket === CLOSING[character]) open.pop();
    at++;
  }
  return { inside: 'code', start: at, open };
}

/** The bracket that the one at `at` closes. @returns {number} its place; -1 where there is none */
export function openingOf(text, at) {
  const { open } = placeAtEnd(text.slice(0, at));
  const last = open.at(-1);
  return last !== undefined && last.bracket === CLOSING[text[at]] ? last.at : -1;
}

/** What begins here and is not plain code; null for plain code. */
function partAt(text, at) {
  switch (text[at]) {
    case '"': case "'": return quoted(text, at);
    case '`': return template(text, at + 1);
    case '/': break;
    default: return null;
  }
  if (text[at + 1] === '/') return upTo(text, at, '\n', 'comment');
  if (text[at + 1] === '*') return upTo(text, at + 2, '*/', 'comment');
  return BEFORE_EXPRESSION.test(text.slice(Math.max(0, at - 20), at)) ? regularExpression(text, at) : null;
}

function upTo(text, from, mark, inside) {
  const found = text.indexOf(mark, from);
  return { inside, isClosed: found !== -1, end: found + mark.length };
}

function quoted(text, start) {
  const found = /^(['"])(?:\\[^]|(?!\1)[^\\\n])*(\1|\n)?/.exec(text.slice(start));
  return { inside: 'string', isClosed: found[2] !== undefined, end: start + found[0].length };
}

function template(text, start) {
  const body = /^(?:\\[^]|\$(?!\{)|[^\\`$])*/.exec(text.slice(start))[0].length;
  const end = start + body;
  if (text[end] === '`') return { inside: 'template', isClosed: true, end: end + 1 };
  return { inside: 'template', isClosed: text.startsWith('${', end), end: end + 2, opens: true };
}

function regularExpression(text, start) {
  const found = /^\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]?|[^/\\[\n])*(\/[a-z]*)?/.exec(text.slice(start));
  return { inside: 'regexp', isClosed: found[1] !== undefined, end: start + found[0].length };
}
