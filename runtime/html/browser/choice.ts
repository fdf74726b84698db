import { element } from './elements.js';

/** One of several names, as a row of buttons in a fieldset of class `choice`. */
export function offerChoice<T extends string>(
  fieldset: HTMLElement,
  names: readonly T[],
  chosen: T,
  onChange: (name: T) => void,
): void {
  for (const name of names) {
    const radio = element('input', { type: 'radio', name: fieldset.id, value: name });
    radio.checked = name === chosen;
    radio.addEventListener('change', () => onChange(name));
    fieldset.append(element('label', {}, radio, element('span', {}, name)));
  }
}
