/** complete_request and inspect_request, from the text around the cursor. Worker thread. */

const KEYWORDS = [
  'abstract', 'as', 'async', 'await', 'break', 'case', 'catch', 'class', 'const', 'continue', 'debugger', 'declare',
  'default', 'delete', 'do', 'else', 'enum', 'export', 'extends', 'false', 'finally', 'for', 'function', 'if',
  'implements', 'import', 'in', 'instanceof', 'interface', 'keyof', 'let', 'namespace', 'new', 'null', 'of', 'private',
  'protected', 'public', 'readonly', 'return', 'satisfies', 'static', 'super', 'switch', 'this', 'throw', 'true', 'try',
  'type', 'typeof', 'undefined', 'using', 'var', 'void', 'while', 'yield',
];
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;

/** @param {{code: string, cursor_pos?: number}} request @param {import('./main-thread.mjs').MainThread} main */
export async function complete({ code = '', cursor_pos: position }, main) {
  const before = beforeCursor(code, position);
  const { path, prefix } = splitPath(before);
  const end = characters(before);
  const candidates = path === null ? [] : await namesFor(path, main);
  const matches = [...new Set(candidates)].filter((name) => name.startsWith(prefix) && IDENTIFIER.test(name)).sort();
  return { status: 'ok', matches, cursor_start: end - characters(prefix), cursor_end: end, metadata: {} };
}

/** @param {{code: string, cursor_pos?: number}} request @param {import('./main-thread.mjs').MainThread} main */
export async function inspect({ code = '', cursor_pos: position }, main) {
  const before = beforeCursor(code, position);
  const rest = /^[\p{ID_Continue}$]*/u.exec(code.slice(before.length))[0];
  const { path, prefix } = splitPath(before + rest);
  const data = path === null || prefix === '' ? null : await main.ask({ type: 'describe', path: [...path, prefix] });
  return { status: 'ok', found: data !== null, data: data ?? {}, metadata: {} };
}

/** Jupyter counts the cursor in characters, JavaScript's strings in UTF-16 units. */
function beforeCursor(code, position) {
  return position === undefined ? code : [...code].slice(0, position).join('');
}

function characters(text) {
  return [...text].length;
}

/** @returns {{path: string[] | null, prefix: string}} null for what is not a plain chain of names */
function splitPath(before) {
  const chain = /[\p{ID_Continue}$.?]*$/u.exec(before)[0];
  const names = chain.split(/\??\./);
  const prefix = names.pop();
  const preceding = before[before.length - chain.length - 1];
  const isPlain = names.every((name) => IDENTIFIER.test(name)) && !(names.length > 0 && /[)\]'"`]/.test(preceding));
  return { path: isPlain ? names : null, prefix };
}

async function namesFor(path, main) {
  if (path.length > 0) return await main.ask({ type: 'members', path }) ?? [];
  return [...KEYWORDS, ...await main.ask({ type: 'names' }) ?? []];
}
