import type { Edit } from '../compiler/edit/edit.js';
import { IpgraftError } from '../compiler/errors.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Dimension, ValueInfo } from '../compiler/onnx/value-info.js';

/** Where what makes a model batched is named. */
export const BATCH_SCOPE = '/ip_batch';

/** The symbol of a batch where the model has none that could be told. */
const USUAL_BATCH = 'batch_size';

/** The symbol that the first input with a batch has for it. */
export function batchOf(graph: Graph): string {
  for (const input of graph.inputs.values()) {
    const [first, ...rest] = input.shape ?? [];
    if (typeof first === 'string' && rest.length > 0) return first;
  }
  return USUAL_BATCH;
}

/** Whether an input's first dimension is free: any number of rows. */
export function hasBatch({ shape }: ValueInfo): boolean {
  return shape !== null && shape.length > 0 && typeof shape[0] !== 'number';
}

/** What keeps a model from taking the rows of several requests, such as `input timestep`, and why. */
export function notBatched(what: string, why: string): IpgraftError {
  return new IpgraftError('MODEL_NOT_BATCHED', `${what} is ${why}`, { what });
}

/** What makes an input's shape another one. */
export function resizes(input: ValueName, from: readonly Dimension[], to: readonly Dimension[]): Edit[] {
  if (from.length !== to.length) return [{ kind: 'set-input-shape', input, from, to }];
  return from.flatMap((size, axis): Edit[] =>
    size === to[axis] ? [] : [{ kind: 'set-input-dimension', input, axis, from: size, to: to[axis]! }],
  );
}
