/** One output in its best form, with the others, a copy and a download beside it. */

import { button, element, part } from '../dom.ts';
import type { Item } from '../events.ts';
import { LARGE, type Active } from '../frame/frame.ts';
import { forms, size, type Form, type Surroundings } from './forms.ts';

/** Where active content is shown. It belongs to the element, as one frame holds that of several items. */
export interface Stage extends Surroundings {
  /** Whether a frame can be had at all. */
  isOpen: boolean;
  show(shown: Shown, active: Active): void;
  hide(shown: Shown): void;
}

export class Shown {
  readonly element = part('div', 'item');
  readonly slot: number;
  readonly #stage: Stage;
  readonly #item: Item;
  readonly #forms: Form[];
  readonly #content = element('div', { className: 'content' });
  #form: Form | undefined;
  isActive = false;

  constructor(item: Item, slot: number, stage: Stage) {
    this.#item = item;
    this.#stage = stage;
    this.slot = slot;
    this.#forms = forms(item, stage);
    this.element.append(this.#content);
    if (this.#forms.some((form) => form.name !== 'javascript')) this.element.append(this.#tools());
    const omitted = Object.entries(item.omitted ?? {}).map(([type, count]) => `${type} (${size(count)})`);
    if (omitted.length) this.element.append(part('p', 'note', `Too large to be sent: ${omitted.join(', ')}.`));
  }

  /** Show the best form that can be shown, or the one with this name. */
  show(name?: string): void {
    const usable = this.#usable();
    const form = usable.find((each) => each.name === name) ?? usable[0];
    if (this.isActive) this.#stage.hide(this);
    this.isActive = false;
    this.#form = form;
    this.element.dataset.form = form?.name ?? 'none';
    this.#content.replaceChildren();
    if (form?.show) this.#content.append(form.show());
    else if (form?.active) this.#perform(form.active);
    else if (this.#forms.length) this.#content.append(part('p', 'note', 'This output needs an interactive frame.'));
  }

  remove(): void {
    if (this.isActive) this.#stage.hide(this);
    this.element.remove();
  }

  #usable(): Form[] {
    return this.#forms.filter((form) => form.show || this.#stage.isOpen);
  }

  #perform(active: Active): void {
    const perform = (): void => {
      this.isActive = true;
      this.#content.replaceChildren();
      this.#stage.show(this, active);
    };
    const length = active.kind === 'html' && typeof active.data === 'string' ? active.data.length : 0;
    if (length > LARGE) this.#content.append(button(`Show ${size(length)} of HTML`, perform));
    else perform();
  }

  #tools(): HTMLElement {
    const tools = element('div', { className: 'tools' });
    tools.setAttribute('role', 'toolbar');
    tools.setAttribute('aria-label', 'Output');
    if (this.#forms.length > 1) {
      const options = this.#forms.map(({ name }) => element('option', { value: name, textContent: name }));
      const choice = element('select', { ariaLabel: 'Show as' }, ...options);
      choice.addEventListener('change', () => this.show(choice.value));
      tools.append(choice);
    }
    if (this.#forms.some((form) => form.text)) tools.append(button('Copy', () => void this.#copy(tools)));
    if (this.#forms.some((form) => form.file)) tools.append(button('Download', () => this.#download()));
    return tools;
  }

  async #copy(tools: HTMLElement): Promise<void> {
    const form = this.#form?.text ? this.#form : this.#forms.find((each) => each.text);
    const said = element('span', { textContent: 'Copied' });
    said.setAttribute('role', 'status');
    await navigator.clipboard.writeText(form?.text?.() ?? '').catch(() => (said.textContent = 'The browser does not allow it'));
    tools.append(said);
    setTimeout(() => said.remove(), 2000);
  }

  #download(): void {
    const form = this.#form?.file ? this.#form : this.#forms.find((each) => each.file);
    const file = form?.file?.();
    if (!file) return;
    const [name, type, content] = file;
    const url = URL.createObjectURL(new Blob([content], { type }));
    element('a', { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  /** What a screen reader says of it. */
  get about(): string {
    return (this.#item.text ?? this.#form?.name ?? '').slice(0, 200);
  }
}
