import { IpgraftError } from '../../compiler/errors.js';
import type { InferOptions, ServedModel } from '../../runtime/serve/backend.js';
import { DATATYPE_SIZE, type Datatype, type Tensor } from '../../runtime/serve/tensor.js';

export const DATATYPES = Object.keys(DATATYPE_SIZE) as Datatype[];

/** A model without a runtime: gives each input `t` back as `t_out`, when it is let. */
export interface EchoModel extends ServedModel {
  /** What the next requests meet, in order; those after them are answered at once. */
  readonly next: ((options: InferOptions) => Promise<void> | never)[];
  /** How often it was closed. */
  closed: number;
  /** What it was asked with last. */
  asked: InferOptions;
}

/** Inputs of one datatype each, or those given. */
export function echoModel(
  inputs: ServedModel['inputs'] = DATATYPES.map((datatype) => ({
    name: datatype,
    datatype,
    shape: [-1],
    optional: true,
  })),
): EchoModel {
  const next: EchoModel['next'] = [];
  const load = { waiting: 0, running: 0 };
  const model: EchoModel = {
    inputs,
    outputs: inputs.map(({ name, ...rest }) => ({ ...rest, name: `${name}_out` })),
    next,
    load,
    closed: 0,
    asked: {},
    async infer(tensors, options = {}) {
      model.asked = options;
      load.running++;
      try {
        await next.shift()?.(options);
      } finally {
        load.running--;
      }
      const outputs = (options.outputs ?? []).flatMap((wanted): Tensor[] => {
        const found = tensors.find(({ name }) => `${name}_out` === wanted);
        return found === undefined ? [] : [{ ...found, name: wanted }];
      });
      return {
        outputs,
        times: { queue: 1000, computeInput: 2000, computeInfer: 3_000_000, computeOutput: 4000 },
      };
    },
    async close() {
      model.closed++;
    },
  };
  return model;
}

/** Fails as a model does. */
export function failing(...args: ConstructorParameters<typeof IpgraftError>): () => never {
  return () => {
    throw new IpgraftError(...args);
  };
}

/** Runs until it is cancelled, as a model does that is cancelled. */
export function untilCancelled(onStart: () => void = () => {}): (options: InferOptions) => Promise<void> {
  return ({ signal }) =>
    new Promise((_, reject) => {
      onStart();
      signal!.addEventListener('abort', () => reject(new IpgraftError('SERVER_CANCELLED', 'cancelled')));
    });
}
