import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { type AnyTensor, ClientError, type Declarations, type Run } from './tensor.js';

/** What of onnxruntime-node is needed beside a session. */
export interface OnnxRuntime {
  readonly Tensor: typeof OrtTensor;
}

/** Runs a model in a session of onnxruntime-node. */
export function runInSession(
  model: Declarations,
  session: InferenceSession,
  { Tensor: Made }: OnnxRuntime,
): Run {
  const missing =
    model.inputs.find(({ name, optional }) => !optional && !session.inputNames.includes(name)) ??
    model.outputs.find(({ name }) => !session.outputNames.includes(name));
  if (missing !== undefined)
    throw new ClientError('MODEL', `the session’s model has no ${JSON.stringify(missing.name)}`);
  return async (inputs, outputs) => {
    const feeds = [...inputs].map(([name, { type, shape, data }]): [string, OrtTensor] => {
      // A value would be passed over without a word.
      if (!session.inputNames.includes(name))
        throw new ClientError(
          'INPUT',
          `input ${JSON.stringify(name)}: onnxruntime-node takes no value for an input with a default`,
        );
      // One of many overloads: the arguments of each go together, and have been checked.
      return [name, new Made(type as 'float32', data as Float32Array, shape)];
    });
    const results = await session.run(Object.fromEntries(feeds), outputs);
    const found = new Map<string, AnyTensor>();
    for (const name of outputs) {
      const result = results[name];
      if (result !== undefined) found.set(name, await fromOrt(result));
    }
    return found;
  };
}

async function fromOrt(result: OrtTensor): Promise<AnyTensor> {
  const type = result.type as AnyTensor['type'];
  const data = (await result.getData()) as AnyTensor['data'];
  // Where there is a Float16Array it holds the elements.
  const isFloat16 = type === 'float16' && ArrayBuffer.isView(data);
  const bits = isFloat16 ? new Uint16Array(data.buffer, data.byteOffset, data.length) : data;
  return { type, shape: result.dims, data: bits };
}
