/** Server-sent events from bytes, as this API sends them: the data of each is one JSON document. */
export declare class Decoder {
    #private;
    /** The data of the events that end in this chunk; what is not complete yet waits. */
    feed(chunk: Uint8Array): Generator<unknown, void, void>;
}
