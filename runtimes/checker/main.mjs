/** The entry: says when it is ready, and answers requests to check a cell, one after the other, until the server closes the other end. */

import { Checker } from './checker.mjs';
import { ts } from './compiler.mjs';
import { Wire } from './wire.mjs';

const wire = new Wire();
const checker = new Checker(wire);

// What every check needs is there before anybody waits for one.
checker.warm();
wire.write({ ready: true });

for (let request = wire.read(); request !== null; request = wire.read()) wire.write(answer(request));

function answer(request) {
  try {
    return { diagnostics: checker.check(request) };
  } catch (error) {
    if (error instanceof ts.OperationCanceledException) return { late: true };
    return { failed: `${error?.message ?? error}`.slice(0, 500) };
  }
}
