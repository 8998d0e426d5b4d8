/** The TypeScript compiler that the kernel has, too. */

import { createRequire } from 'node:module';

export const ts = createRequire(import.meta.url)('../typescript/vendor/typescript/typescript.cjs');
