/** Markdown as elements: no HTML of its author's, nothing loaded, and sanitised once more. */

import DOMPurify, { type Config } from 'dompurify';
import MarkdownIt from 'markdown-it';

const parser = new MarkdownIt('default', { html: false, linkify: true, maxNesting: 20 });

// `$..$` and `$$..$$`, before emphasis takes the underscores in them.
parser.inline.ruler.before('escape', 'math', (state, isSilent) => {
  const found = /^\$\$([^$]{1,5000})\$\$|^\$(?![\s\d.,]*\s)([^$\n]{1,2000}?)(?<!\s)\$(?!\d)/.exec(state.src.slice(state.pos, state.pos + 5004));
  if (!found) return false;
  if (!isSilent) {
    const token = state.push('math', 'code', 0);
    token.content = found[0];
  }
  state.pos += found[0].length;
  return true;
});
parser.renderer.rules.math = (tokens, at) => `<code class="math">${parser.utils.escapeHtml(tokens[at]?.content ?? '')}</code>`;

const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,/;
const TAGS =
  'a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i img li ol p pre s strong sub sup table tbody td th thead tr ul'.split(' ');
const POLICY: Config & { RETURN_DOM_FRAGMENT: true } = {
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ['href', 'src', 'alt', 'title', 'class', 'start'],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|data:image\/)/i,
  RETURN_DOM_FRAGMENT: true,
};

export function render(box: HTMLElement, source: string, math: (place: HTMLElement, formula: string) => void): void {
  const clean = DOMPurify.sanitize(parser.render(source), POLICY);
  for (const picture of clean.querySelectorAll('img')) {
    // A picture from elsewhere would tell that somebody reads this, and more in its address.
    if (!PICTURE.test(picture.src)) picture.replaceWith(picture.alt || 'picture', ` (${picture.src || 'no address'})`);
  }
  for (const link of clean.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  }
  box.replaceChildren(clean);
  for (const place of box.querySelectorAll<HTMLElement>('code.math')) math(place, place.textContent ?? '');
}
