/** The documentation comments that the user wrote in front of declarations, for inspection. Worker thread. */

const MAX_NAMES = 1000;
const MAX_TEXT = 4000;
const DOCUMENTED = new RegExp([
  /\/\*\*((?:[^*]|\*(?!\/))*)\*\/\s*/, /(?:(?:export|default|declare|abstract|async)\s+)*/,
  /(?:function\b\s*\*?|class\b|const\b|let\b|var\b|enum\b|namespace\b)\s*([\p{ID_Start}$_][\p{ID_Continue}$]*)/u,
].map(({ source }) => source).join(''), 'gu');

export class Documentation {
  #texts = new Map();

  /** Take what a cell documents. @param {string} code */
  note(code) {
    if (!code.includes('/**')) return;
    for (const [, comment, name] of code.matchAll(DOCUMENTED)) {
      this.#texts.delete(name);
      this.#texts.set(name, plainText(comment).slice(0, MAX_TEXT));
      if (this.#texts.size > MAX_NAMES) this.#texts.delete(this.#texts.keys().next().value);
    }
  }

  /** @param {string[]} path - of a subject @returns {string | null} */
  of(path) {
    return path.length === 1 ? this.#texts.get(path[0]) ?? null : null;
  }
}

/** Without the asterisk that begins each line. */
function plainText(comment) {
  return comment.split('\n').map((line) => line.replace(/^\s*\*? ?/, '').trimEnd()).join('\n').trim();
}
