/** The values of the API as they are on the wire; `/openapi.json` of a server describes them too. */

export type Status = 'queued' | 'running' | 'ok' | 'error' | 'timeout' | 'interrupted' | 'died';
export type ContextState = 'created' | 'preserved' | 'restarted' | 'lost' | 'rolled_back';

/** One output. Images and PDF are base64; `extra` holds every other MIME type. */
export interface Item {
  is_primary: boolean;
  text?: string;
  html?: string;
  markdown?: string;
  svg?: string;
  png?: string;
  jpeg?: string;
  pdf?: string;
  latex?: string;
  json?: unknown;
  javascript?: string;
  data?: Record<string, unknown>;
  chart?: Record<string, unknown>;
  extra?: Record<string, unknown>;
  metadata?: Record<string, unknown>;
  omitted?: Record<string, number>;
}

export interface ErrorInfo {
  name: string;
  value: string;
  traceback: string;
  hint?: string;
}

export interface Truncation {
  total_bytes: number;
  kept_bytes: number;
  total?: number;
  kept?: number;
}

export interface VariableChanges {
  created: string[];
  changed: string[];
  removed: string[];
  omitted?: number;
}

export interface FileChange {
  path: string;
  change: 'created' | 'changed' | 'deleted';
  size?: number;
}

/** A place in the code as it was sent, and what is wrong there. Lines and columns count from 1; `code` is that of TypeScript. */
export interface Diagnostic {
  line: number;
  column: number;
  end_line: number;
  end_column: number;
  code: number;
  severity: 'error' | 'warning' | 'suggestion' | 'message';
  message: string;
}

interface Outcome {
  execution_count?: number;
  duration_ms?: number;
  context_state?: ContextState;
  truncated?: Record<string, Truncation>;
  variables?: VariableChanges;
  checkpoint?: string;
  files?: FileChange[];
  diagnostics?: Diagnostic[];
  /** Why there are no diagnostics though asked for. */
  unchecked?: string;
  /** About fields of the request that are unknown, and look like a known one. */
  warnings?: string[];
}

export interface ResultFields extends Outcome {
  execution_id: string;
  context_id: string;
  language: string;
  status: Status;
  items: Item[];
  logs: { stdout: string[]; stderr: string[] };
  error?: ErrorInfo;
}

/** What happens during an execution. `id` numbers the events; `done` is the last. */
export type Event =
  | { id: number; type: 'started'; execution_id: string; context_id: string; language: string }
  | { id: number; type: 'stdout' | 'stderr'; text: string; omitted_bytes?: number }
  | { id: number; type: 'item' | 'item_update'; index: number; item: Item }
  | { id: number; type: 'clear' }
  | InputRequest
  | ({ id: number; type: 'error' } & ErrorInfo)
  | { id: number; type: 'gap'; missed: number }
  | ({ id: number; type: 'done'; status: Status; primary_index?: number; hint?: string } & Outcome);

export interface InputRequest {
  id: number;
  type: 'input_request';
  prompt: string;
  password: boolean;
}

export interface InstallationResult {
  context_id: string;
  language: string;
  tool: string;
  status: 'ok' | 'error' | 'timeout' | 'cancelled';
  installed: { name: string; version: string }[];
  restart_for: string[];
  log: string[];
  duration_ms: number;
  error?: { name: string; message: string; remediation: string };
}

export type InstallationEvent =
  | { id: number; type: 'installing'; context_id: string; language: string; tool: string; packages: string[] }
  | { id: number; type: 'stdout' | 'stderr'; text: string; omitted_bytes?: number }
  | { id: number; type: 'gap'; missed: number }
  | { id: number; type: 'installed'; result: InstallationResult };

export interface ContextInfo {
  id: string;
  language: string;
  cwd: string;
  kernel: string;
  state: string;
  created_at: string;
  last_activity: string;
  queued: number;
  execution_count: number;
  limits?: Record<string, number>;
  isolation?: 'none' | 'process' | 'landlock' | 'namespaces';
  network?: 'none' | 'open';
  warnings?: string[];
}

export interface Obstacle {
  kind: string;
  name: string;
}

export interface BranchInfo extends ContextInfo {
  branched_from: string;
  files: 'copied' | 'shared';
  not_carried: Obstacle[];
  checkpoint?: string;
}

export interface CheckpointInfo {
  checkpoint: string;
  context_id: string;
  language: string;
  created_at: string;
  execution_count: number;
  state: string;
  files: 'copied' | 'shared';
  file_bytes: number;
  not_carried: Obstacle[];
  name?: string;
  memory_bytes?: number;
  warnings?: string[];
}

export interface Variable {
  name: string;
  type: string;
  kind: 'module' | 'class' | 'function' | 'value';
  preview: string;
  shape?: number[];
  length?: number;
  size_bytes?: number;
  dtype?: string;
  columns?: string[];
}

export interface VariableList {
  items: Variable[];
  total: number;
  truncated: boolean;
}

export interface FileInfo {
  path: string;
  type: 'file' | 'directory' | 'symlink' | 'other';
  size: number;
  modified: string;
}

export interface FileList {
  items: FileInfo[];
  truncated: boolean;
}

export interface LanguageInfo {
  name: string;
  aliases: string[];
  kernel: string;
  available: boolean;
  version?: string;
  display_name?: string;
  reason?: string;
}

export interface Completions {
  matches: { text: string; type: string }[];
  cursor_start: number;
  cursor_end: number;
}

export interface Inspection {
  found: boolean;
  data: Record<string, unknown>;
}

export interface Completeness {
  status: 'complete' | 'incomplete' | 'invalid' | 'unknown';
  indent: string;
}

export interface Health {
  status: string;
  service: string;
  version: string;
}
