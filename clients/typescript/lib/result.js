/* @ts-self-types="./result.d.ts" */
/** An execution with its outputs. */
import { CodeFailed } from './errors.js';
export class Result {
    constructor(fields) {
        Object.assign(this, fields);
    }
    get isOk() {
        return this.status === 'ok';
    }
    /** The figure that the code draws, or the value of its last expression, or else its last display. */
    get primary() {
        return this.items.find((item) => item.is_primary);
    }
    /** The text of the primary item, if it has one. */
    get text() {
        return this.primary?.text;
    }
    get stdout() {
        return this.logs.stdout.join('\n');
    }
    get stderr() {
        return this.logs.stderr.join('\n');
    }
    /** The pictures among the items (PNG, or else JPEG), decoded. */
    get images() {
        return this.items.flatMap((item) => {
            const picture = item.png ?? item.jpeg;
            return picture === undefined ? [] : [Uint8Array.from(atob(picture), (each) => each.charCodeAt(0))];
        });
    }
    /** This result. Throws CodeFailed when the code failed, took too long, was stopped or killed its kernel. */
    orThrow() {
        if (this.error)
            throw new CodeFailed(this.error);
        return this;
    }
}
