/**
 * The outer of the two frames. It runs only this, and holds the inner one, which runs the user's code.
 *
 * Its policy says `frame-src 'none'`: so the inner frame cannot go to an address, which would carry data away.
 */

import { SANDBOX, type Command, type Report } from './protocol.ts';

/** The document of the inner frame; the build fills it in. */
declare const INNER: string;

const MOST = 2_000; // messages a second
const PAUSE = 50; // milliseconds between two reports: 20 a second

const inner = document.createElement('iframe');
inner.setAttribute('sandbox', SANDBOX);
inner.title = 'output';
inner.srcdoc = INNER;

let report: Report | null = null;
let count = 0;
let isReady = false;
const waiting: Command[] = [];

setInterval(() => (count = 0), 1000);

function tell(news: Report): void {
  if (!report) {
    report = {};
    setTimeout(() => {
      parent.postMessage(report, '*');
      report = null;
    }, PAUSE);
  }
  Object.assign(report, news);
}

function stop(reason: string): void {
  inner.remove();
  tell({ stopped: reason });
}

addEventListener('message', ({ source, data }) => {
  if (source === parent) {
    if (isReady) inner.contentWindow?.postMessage(data, '*');
    else waiting.push(data as Command);
    return;
  }
  if (source !== inner.contentWindow || data === null || typeof data !== 'object') return;
  if (++count > MOST) return stop('it sent too many messages');
  const { ready, height, error, blocked, shown } = data as Record<string, unknown>;
  if (ready && !isReady) {
    isReady = true;
    for (const command of waiting.splice(0)) inner.contentWindow?.postMessage(command, '*');
  }
  if (typeof height === 'number' && height >= 0) tell({ height });
  if (typeof shown === 'number') tell({ shown });
  if (typeof error === 'string') tell({ error: error.slice(0, 500) });
  if (typeof blocked === 'string') tell({ blocked: blocked.slice(0, 200) });
});
document.body.append(inner);
parent.postMessage({ hello: true } satisfies Report, '*');
