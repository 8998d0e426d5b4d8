/** In the inner frame, beside the user's code: shows what it is sent, and reports heights and errors. */

import type { Command } from './protocol.ts';

declare const Plotly: { newPlot(box: Element, data: unknown, layout: object, config: object): Promise<unknown> };
declare const polyreplVega: (box: Element, spec: unknown) => Promise<void>;

const tell = (news: object): void => parent.postMessage(news, '*');
const fail = (problem: unknown): void => tell({ error: String(problem).slice(0, 500) });

const slots = new Map<number, HTMLElement>();
let height = -1;

function measure(): void {
  const now = Math.ceil(Math.max(document.documentElement.getBoundingClientRect().height, document.body.scrollHeight));
  if (now === height) return;
  height = now;
  tell({ height });
}

/** Whatever waits for a document that has long been loaded is called at once. */
function callLate(target: EventTarget, name: string): void {
  const add = target.addEventListener.bind(target);
  target.addEventListener = (type: string, listener: EventListenerOrEventListenerObject | null, options?: unknown) => {
    if (type !== name || !listener) return add(type, listener, options as AddEventListenerOptions);
    setTimeout(() => (typeof listener === 'function' ? listener.call(target, new Event(name)) : listener.handleEvent(new Event(name))));
  };
}

function run(text: string, place: Element): void {
  const script = document.createElement('script');
  script.textContent = text;
  place.append(script);
}

/** HTML whose scripts run, in their order, as those of a page do. */
function html(box: HTMLElement, text: string): void {
  const template = document.createElement('template');
  template.innerHTML = text;
  for (const frame of template.content.querySelectorAll('iframe[srcdoc]')) {
    frame.setAttribute('srcdoc', REPORTER + (frame.getAttribute('srcdoc') ?? ''));
  }
  box.append(template.content);
  for (const old of box.querySelectorAll('script')) {
    const script = document.createElement('script');
    for (const { name, value } of old.attributes) script.setAttribute(name, value);
    script.textContent = old.textContent;
    old.replaceWith(script);
  }
}

/** A document of its own inside the output (folium) says here what it may not load. */
const REPORTER =
  "<script>addEventListener('securitypolicyviolation',e=>parent.postMessage({polyreplBlocked:e.blockedURI},'*'))</script>";

interface Figure {
  data: unknown;
  layout?: { height?: number };
  config?: object;
}

async function show(box: HTMLElement, kind: string, data: unknown): Promise<void> {
  if (kind === 'html') html(box, String(data));
  else if (kind === 'javascript') {
    Object.assign(globalThis, { element: box });
    run(`{\n${String(data)}\n}`, box); // a block: two outputs may name the same constants
  } else if (kind === 'vega') await polyreplVega(box, data);
  else {
    const { data: traces, layout, config } = data as Figure;
    const sized = { autosize: true, ...layout, height: layout?.height ?? 420 };
    await Plotly.newPlot(box, traces, sized, { responsive: true, displaylogo: false, ...config });
  }
}

function obey(command: Command): void {
  if (command.type === 'library') run(command.text, document.head);
  else if (command.type === 'theme') document.documentElement.style.colorScheme = command.theme;
  else if (command.type === 'remove') {
    slots.get(command.slot)?.remove();
    slots.delete(command.slot);
  } else {
    const { slot, kind, data } = command;
    const box = document.createElement('div');
    const before = slots.get(slot);
    slots.set(slot, box);
    if (before) before.replaceWith(box);
    else document.body.append(box);
    show(box, kind, data)
      .catch(fail)
      .finally(() => setTimeout(() => tell({ shown: slot })));
  }
  measure();
}

addEventListener('message', ({ source, data }) => {
  if (source === parent) obey(data as Command);
  else if (typeof data?.polyreplBlocked === 'string') tell({ blocked: data.polyreplBlocked });
});
addEventListener('error', ({ message }) => fail(message));
addEventListener('unhandledrejection', ({ reason }) => fail(reason));
addEventListener('securitypolicyviolation', ({ blockedURI }) => tell({ blocked: blockedURI }));
addEventListener('load', () => {
  // Not only observed: in a frame out of sight observers are not called.
  new ResizeObserver(measure).observe(document.body);
  setInterval(measure, 500);
  callLate(document, 'DOMContentLoaded');
  callLate(window, 'load');
  tell({ ready: true });
});
