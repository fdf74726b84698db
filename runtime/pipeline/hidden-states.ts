import { IpgraftError } from '../../compiler/errors.js';

/** What an encoder calls the hidden states behind its layer `n`. */
const HIDDEN_STATES = /^hidden_states\.(\d+)$/;

/**
 * The output of an encoder with its last but one hidden states, diffusers' `hidden_states[-2]`. The states behind every layer are
 * outputs of their own, numbered from the embeddings (0) on; an export with that one alone calls it `penultimate_hidden_states`.
 * @throws IpgraftError `PIPELINE_COMPONENT`
 */
export function lastButOne(outputs: readonly string[], encoder: string): string {
  const alone = outputs.find((name) => name === 'penultimate_hidden_states');
  if (alone !== undefined) return alone;
  const numbers = outputs.flatMap((name) => HIDDEN_STATES.exec(name)?.[1] ?? []).map(Number);
  const chosen = numbers.toSorted((a, b) => a - b).at(-2);
  if (chosen !== undefined) return `hidden_states.${chosen}`;
  throw new IpgraftError(
    'PIPELINE_COMPONENT',
    `${encoder}: sought its hidden states, found the outputs ${outputs.join(', ')}`,
    { found: outputs },
    {
      hint: 'Export it again with the hidden states of all layers among its outputs (output_hidden_states).',
    },
  );
}
