/** The line in which a person answers `input()`. */

import { button, element } from '../dom.ts';

export function prompt(label: string, isPassword: boolean, answer: (text: string) => void): HTMLFormElement {
  const text = label || 'Input';
  const field = element('input', { type: isPassword ? 'password' : 'text', autocomplete: 'off', ariaLabel: text });
  const send = button('Send', () => undefined);
  send.type = 'submit';
  const form = element('form', { className: 'prompt' }, element('span', { textContent: label }), field, send);
  form.part.add('prompt');
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    answer(field.value);
  });
  return form;
}
