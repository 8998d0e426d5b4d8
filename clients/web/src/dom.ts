/** Elements from a tag, properties and children. */

type Child = Node | string;

export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Partial<HTMLElementTagNameMap[Tag]> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

/** An element with names that CSS and `::part()` find. */
export function part(tag: 'div' | 'p' | 'pre' | 'figure', name: string, ...children: Child[]): HTMLElement {
  const made = element(tag, { className: name }, ...children);
  made.part.add(...name.split(' '));
  return made;
}

export function button(label: string, press: () => void): HTMLButtonElement {
  return element('button', { type: 'button', textContent: label, onclick: press });
}
