/** `import()` in what `vm` compiles: Node refuses it unless each call names a loader. Main thread. */

import { syncBuiltinESMExports } from 'node:module';
import vm from 'node:vm';

/** The functions of `vm` that compile text, with the place of their options. */
const COMPILING = { runInThisContext: 1, runInContext: 2, runInNewContext: 2, compileFunction: 2 };

/** Let text import like the cell that runs it, where it does not say otherwise. */
export function letTextImport() {
  const loader = vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;
  const withLoader = (options) => ({
    importModuleDynamically: loader, ...(typeof options === 'string' ? { filename: options } : options),
  });
  const { Script } = vm;
  vm.Script = { Script: class extends Script {
    constructor(code, options) {
      super(code, withLoader(options));
    }
  } }.Script;
  for (const [name, place] of Object.entries(COMPILING)) {
    const original = vm[name];
    vm[name] = { [name](...args) {
      args[place] = withLoader(args[place]);
      return original.apply(this, args);
    } }[name];
  }
  syncBuiltinESMExports();
}
