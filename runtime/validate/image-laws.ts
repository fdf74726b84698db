import type { Graph } from '../../compiler/onnx/graph.js';
import { imageStatesOf } from '../../passes/names.js';
import type { Session, Values } from '../session/session.js';
import { compared } from './comparison.js';
import type { ImageInputs } from './image-inputs.js';
import type { Check } from './validation.js';

type Outputs = ReadonlyMap<string, Values>;

/**
 * Laws that any IP-Adapter obeys, whatever its weights. Zero tokens have zero keys and values, for to_k_ip and to_v_ip have no bias: each
 * branch adds exactly 0. And a softmax knows no order: the tokens of an image may stand in any.
 * `unchanged`: what the model gives with the adapter off; `on`: with the tokens of {@link ImageInputs.on}.
 */
export async function checkLaws(
  session: Session,
  graph: Graph,
  { zeros, reversed }: ImageInputs,
  { unchanged, on }: { readonly unchanged: Outputs; readonly on: Outputs },
  { exact, rounding }: { readonly exact: number; readonly rounding: number },
): Promise<Check[]> {
  const inside = 'the image tokens are made inside of the model: a caller cannot choose them';
  const shifted = 'the tokens pass a linear layer with a bias: zeros are not zeros behind it';
  const law = async (
    name: string,
    feeds: ImageInputs['zeros'],
    against: Outputs,
    limit: number,
    otherwise: string,
  ): Promise<Check> => {
    if (feeds === null) return { name, passed: null, difference: null, detail: otherwise };
    const { difference, relative } = worstOf(against, await session.run(feeds));
    const detail = limit === 0 ? 'bit for bit' : `relative ${relative.toPrecision(2)}, limit ${limit}`;
    return { name, passed: relative <= limit, difference, detail };
  };
  const isShifted = graph.producer(imageStatesOf(0)) !== undefined;
  return [
    await law(
      'zero image tokens, no effect',
      isShifted ? null : zeros,
      unchanged,
      exact,
      isShifted ? shifted : inside,
    ),
    await law('an image’s tokens in another order, the same numbers', reversed, on, rounding, inside),
  ];
}

/** Over all outputs. */
export function worstOf(expected: Outputs, found: Outputs) {
  return [...expected]
    .map(([name, { data }]) => compared(found.get(name)?.data ?? new Float32Array(), data))
    .reduce((most, each) => (each.relative > most.relative ? each : most));
}
