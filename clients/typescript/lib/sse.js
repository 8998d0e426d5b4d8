/* @ts-self-types="./sse.d.ts" */
/** Server-sent events from bytes, as this API sends them: the data of each is one JSON document. */
import { UnexpectedAnswer } from './errors.js';
export class Decoder {
    #text = new TextDecoder();
    #rest = [];
    /** The data of the events that end in this chunk; what is not complete yet waits. */
    *feed(chunk) {
        let text = this.#text.decode(chunk, { stream: true });
        const before = this.#rest.at(-1);
        if (before?.endsWith('\n')) {
            this.#rest.pop();
            text = before + text;
        }
        let start = 0;
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n', start)) {
            this.#rest.push(text.slice(start, end));
            start = end + 2;
            const data = dataOf(this.#rest.join(''));
            this.#rest = [];
            if (data)
                yield parse(data);
        }
        if (start < text.length)
            this.#rest.push(text.slice(start));
    }
}
function dataOf(block) {
    const lines = block.split('\n').filter((line) => line.startsWith('data:'));
    return lines.map((line) => line.slice(5).trimStart()).join('\n');
}
function parse(data) {
    try {
        return JSON.parse(data);
    }
    catch {
        throw new UnexpectedAnswer('An event is no JSON');
    }
}
