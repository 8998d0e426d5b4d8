/** Answers every request but execute_request, each from its content alone. Worker thread. */

import { PROTOCOL_VERSION } from '../transport/messages.mjs';
import { codeOf, cursorOf } from './content.mjs';
import { Documentation } from '../assist/documentation.mjs';
import { runtime } from '../shared/platform.mjs';

const VERSION = '0.1.0';
/** The kernel's previews take half a second at most. */
const VARIABLES_TIMEOUT_MS = 2000;

export class Requests {
  #main;
  #documentation = new Documentation();

  /** @param {import('./main-thread.mjs').MainThread} main */
  constructor(main) {
    this.#main = main;
  }

  /** Take what a cell says of its own declarations. @param {string} code */
  noteCell(code) {
    this.#documentation.note(code);
  }

  /**
   * @param {string} type - of the request
   * @param {Record<string, any>} content
   * @returns {Promise<object | null>} the content of the reply; null for a message that takes none
   * @throws {Error} for content of the wrong kind
   */
  async answer(type, content) {
    switch (type) {
      case 'kernel_info_request': return kernelInfo();
      case 'is_complete_request': return isComplete(codeOf(content));
      case 'complete_request': return this.#complete(placeIn(content));
      case 'inspect_request': return this.#inspect({ ...placeIn(content), detail: content.detail_level });
      case 'variables_request': return this.#variables(content);
      case 'history_request': return { status: 'ok', history: [] };
      case 'comm_info_request': return { status: 'ok', comms: {} };
      default: return type.endsWith('_request') ? failure('NotImplementedError', `${type} is not supported`) : null;
    }
  }

  async #complete(place) {
    const { complete } = await import('../assist/completion.mjs');
    return complete(place, this.#main);
  }

  async #inspect(place) {
    const { inspect } = await import('../assist/inspection.mjs');
    return inspect(place, this.#main, this.#documentation);
  }

  async #variables({ limit, after, match }) {
    const listing = await this.#main.ask({ type: 'variables', request: { limit, after, match } }, VARIABLES_TIMEOUT_MS);
    return listing ?? failure('TimeoutError', 'the context is busy with code of a cell that has ended');
  }

  /**
   * What a cell that asks for help (`name?`) is shown.
   * @param {string} code
   * @returns {Promise<object[] | null>} the payload of its reply; null for any other cell
   */
  async help(code) {
    if (!code.includes('?')) return null;
    const { describe, helpAskedFor } = await import('../assist/inspection.mjs');
    const asked = helpAskedFor(code);
    if (asked === null) return null;
    const data = await describe(asked.text, asked.detail, this.#main, this.#documentation);
    return [{ source: 'page', start: 0, data: data ?? { 'text/plain': `${asked.text} is not defined.` } }];
  }
}

/** Where completion and inspection are asked for. */
function placeIn(content) {
  return { code: codeOf(content), position: cursorOf(content) };
}

/** The content of a reply, or the outcome of a cell, that failed. */
export function failure(ename, evalue, traceback = [`${ename}: ${evalue}`]) {
  return { status: 'error', ename, evalue, traceback };
}

async function isComplete(code) {
  const [{ completeness }, { indentAfter }] = await Promise.all([
    import('../compile/transform.mjs'), import('../assist/indentation.mjs'),
  ]);
  const status = completeness(code);
  return status === 'incomplete' ? { status, indent: indentAfter(code) } : { status };
}

function kernelInfo() {
  return {
    status: 'ok',
    protocol_version: PROTOCOL_VERSION,
    implementation: 'polyrepl-typescript',
    implementation_version: VERSION,
    language_info: {
      name: 'typescript', version: runtime.version, mimetype: 'text/x-typescript', file_extension: '.ts',
      codemirror_mode: { name: 'javascript', typescript: true }, pygments_lexer: 'typescript', nbconvert_exporter: 'script',
    },
    banner: `TypeScript on ${runtime.title} ${runtime.version}. Every name can be declared again; name? tells what it is.`,
    debugger: false,
    help_links: [
      { text: 'TypeScript', url: 'https://www.typescriptlang.org/docs/' },
      { text: runtime.title, url: runtime.documentation },
    ],
    supported_features: [],
  };
}
