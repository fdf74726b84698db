import { IpgraftError } from '../../compiler/errors.js';

/** The last but one hidden states under a name of their own. */
const ALONE: readonly string[] = ['penultimate_hidden_states', 'hidden_states'];
/** All hidden states, as optimum exports them: the first are the embeddings before any layer. */
const NUMBERED = /^hidden_states\.(\d+)$/;

/**
 * The output of an encoder with its last but one hidden states, diffusers' `hidden_states[-2]`; `null` where there is none. Of L layers there are
 * L + 1 hidden states, from 0 on: the last but one is number L − 1.
 * @param layers `null` where no configuration says it: then the highest number there is counts as the last, unless it is the only one
 */
export function lastButOne(outputs: readonly string[], layers: number | null): string | null {
  const alone = outputs.find((name) => ALONE.includes(name));
  if (alone !== undefined) return alone;
  const numbers = outputs.flatMap((name) => NUMBERED.exec(name)?.[1] ?? []).map(Number);
  const last = layers ?? (numbers.length > 1 ? Math.max(...numbers) : numbers[0]! + 1);
  return numbers.includes(last - 1) ? `hidden_states.${last - 1}` : null;
}

/**
 * As {@link lastButOne} of an encoder that must have them.
 * @throws IpgraftError `PIPELINE_COMPONENT`
 */
export function requiredLastButOne(outputs: readonly string[], encoder: string): string {
  const found = lastButOne(outputs, null);
  if (found !== null) return found;
  throw new IpgraftError(
    'PIPELINE_COMPONENT',
    `${encoder}: sought its hidden states, found the outputs ${outputs.join(', ')}`,
    { found: outputs },
    {
      hint: 'Export it again with the hidden states of all layers among its outputs (output_hidden_states).',
    },
  );
}
