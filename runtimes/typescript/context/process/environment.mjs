/** The environment of a single cell (`env_vars`, runtimes/README.md). Main thread. */

import { SafeSet, hasOwn, keys } from '../../shared/primordials.mjs';

/**
 * Set variables for a cell. While they are set, `process.env` notes what the cell itself assigns.
 * @param {Record<string, string> | null} variables
 * @returns {() => void} puts back what the cell did not assign
 */
export function installEnvironment(variables) {
  if (variables === null) return () => {};
  const environment = process.env;
  const before = { __proto__: null };
  const assigned = new SafeSet();
  const names = keys(variables);
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    if (hasOwn(environment, name)) before[name] = environment[name];
    environment[name] = variables[name];
  }
  const noting = noteAssignments(environment, assigned);
  process.env = noting;
  return () => {
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      if (assigned.has(name)) continue;
      if (name in before) environment[name] = before[name];
      else delete environment[name];
    }
    if (process.env === noting) process.env = environment;
  };
}

function noteAssignments(environment, assigned) {
  return new Proxy(environment, {
    set(target, name, value) {
      assigned.add(name);
      target[name] = value;
      return true;
    },
  });
}
