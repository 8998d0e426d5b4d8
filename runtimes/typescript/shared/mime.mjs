/** MIME types that the two threads agree on. */

/**
 * The JSON of a value that is also shown as text or as a table. Front ends prefer JSON to both, and fold it; so it becomes
 * `application/json` only where a request asks for values.
 */
export const VALUES = 'application/vnd.polyrepl.values+json';
