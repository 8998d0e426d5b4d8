/** An execution with its outputs. */

import { CodeFailed } from './errors.ts';
import type {
  ContextState,
  Diagnostic,
  ErrorInfo,
  FileChange,
  Item,
  ResultFields,
  Status,
  Truncation,
  VariableChanges,
} from './types.ts';

export class Result implements ResultFields {
  declare readonly execution_id: string;
  declare readonly context_id: string;
  declare readonly language: string;
  declare readonly status: Status;
  declare readonly items: Item[];
  declare readonly logs: { stdout: string[]; stderr: string[] };
  declare readonly error?: ErrorInfo;
  declare readonly execution_count?: number;
  declare readonly duration_ms?: number;
  declare readonly context_state?: ContextState;
  declare readonly truncated?: Record<string, Truncation>;
  declare readonly variables?: VariableChanges;
  declare readonly checkpoint?: string;
  declare readonly files?: FileChange[];
  declare readonly diagnostics?: Diagnostic[];
  declare readonly unchecked?: string;

  constructor(fields: ResultFields) {
    Object.assign(this, fields);
  }

  get isOk(): boolean {
    return this.status === 'ok';
  }

  /** The figure that the code draws, or the value of its last expression, or else its last display. */
  get primary(): Item | undefined {
    return this.items.find((item) => item.is_primary);
  }

  /** The text of the primary item, if it has one. */
  get text(): string | undefined {
    return this.primary?.text;
  }

  get stdout(): string {
    return this.logs.stdout.join('\n');
  }

  get stderr(): string {
    return this.logs.stderr.join('\n');
  }

  /** The pictures among the items (PNG, or else JPEG), decoded. */
  get images(): Uint8Array[] {
    return this.items.flatMap((item) => {
      const picture = item.png ?? item.jpeg;
      return picture === undefined ? [] : [Uint8Array.from(atob(picture), (each) => each.charCodeAt(0))];
    });
  }

  /** This result. Throws CodeFailed when the code failed, took too long, was stopped or killed its kernel. */
  orThrow(): this {
    if (this.error) throw new CodeFailed(this.error);
    return this;
  }
}
