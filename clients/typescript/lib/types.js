/* @ts-self-types="./types.d.ts" */
/** The values of the API as they are on the wire; `/openapi.json` of a server describes them too. */
export {};
