import type { Reference, Values } from './numbers.js';

export { loadSession as load, type Session } from '../runtime/session/session.js';

/** The base inputs of a UNet, as the reference has them. */
export function unetInputs(reference: Reference): Record<string, Values> {
  const names = ['sample', 'timestep', 'encoder_hidden_states', 'text_embeds', 'time_ids'];
  return Object.fromEntries(
    names.filter((name) => reference.has(name)).map((name) => [name, reference.get(name)]),
  );
}
