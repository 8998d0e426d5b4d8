/** JSON as a tree that opens on demand. */
export declare function tree(value: unknown, isOpen?: boolean): HTMLElement;
