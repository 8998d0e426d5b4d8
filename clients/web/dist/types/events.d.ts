/** What a polyrepl server sends, as far as the kit reads it. */
export interface Item {
    is_primary?: boolean;
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
export interface Result {
    status?: string;
    items?: Item[];
    logs?: {
        stdout?: string[];
        stderr?: string[];
    };
    error?: ErrorInfo;
    truncated?: Record<string, unknown>;
}
export type Event = {
    type: 'started';
} | {
    type: 'stdout' | 'stderr';
    text: string;
    omitted_bytes?: number;
} | {
    type: 'item' | 'item_update';
    index: number;
    item: Item;
} | {
    type: 'clear';
} | {
    type: 'input_request';
    prompt: string;
    password: boolean;
} | ({
    type: 'error';
} & ErrorInfo) | {
    type: 'gap';
    missed: number;
} | {
    type: 'done';
    status: string;
    hint?: string;
};
/** A stream of events. That of the TypeScript client also answers input requests. */
export interface Events extends AsyncIterable<Event> {
    provideInput?(value: string): Promise<void>;
}
