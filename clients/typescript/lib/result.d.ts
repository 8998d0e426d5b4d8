/** An execution with its outputs. */
import type { ContextState, Diagnostic, ErrorInfo, FileChange, Item, ResultFields, Status, Truncation, VariableChanges } from './types.js';
export declare class Result implements ResultFields {
    readonly execution_id: string;
    readonly context_id: string;
    readonly language: string;
    readonly status: Status;
    readonly items: Item[];
    readonly logs: {
        stdout: string[];
        stderr: string[];
    };
    readonly error?: ErrorInfo;
    readonly execution_count?: number;
    readonly duration_ms?: number;
    readonly context_state?: ContextState;
    readonly truncated?: Record<string, Truncation>;
    readonly variables?: VariableChanges;
    readonly checkpoint?: string;
    readonly files?: FileChange[];
    readonly diagnostics?: Diagnostic[];
    readonly unchecked?: string;
    constructor(fields: ResultFields);
    get isOk(): boolean;
    /** The figure that the code draws, or the value of its last expression, or else its last display. */
    get primary(): Item | undefined;
    /** The text of the primary item, if it has one. */
    get text(): string | undefined;
    get stdout(): string;
    get stderr(): string;
    /** The pictures among the items (PNG, or else JPEG), decoded. */
    get images(): Uint8Array[];
    /** This result. Throws CodeFailed when the code failed, took too long, was stopped or killed its kernel. */
    orThrow(): this;
}
