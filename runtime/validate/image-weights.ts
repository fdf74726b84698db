import type { CheckpointTensor } from '../../compiler/checkpoint/checkpoint.js';
import { decodeFloats, floatTypeOf } from '../../compiler/checkpoint/number-format.js';
import { IpgraftError } from '../../compiler/errors.js';
import { dataTypeName, type FloatType } from '../../compiler/onnx/data-type.js';
import { wholeSegment } from '../../compiler/wire/segment-bytes.js';
import type { Adapter } from '../../passes/adapter/adapter.js';
import { fitAdapter } from '../../passes/adapter/fit.js';
import type { CrossAttention, Located } from '../../passes/locate-cross-attention.js';
import { imageWeightOf, type KeyOrValue } from '../../passes/names.js';
import { locateData } from '../locate-data.js';
import type { OpenedModel } from '../open.js';
import type { Values } from '../session/session.js';

/** to_k_ip and to_v_ip of the cross-attentions, as PyTorch keeps a Linear: [h, C]. */
export interface ImageWeights {
  /** Whose they are, for people. */
  readonly source: string;
  of(adapter: number, attention: CrossAttention): Promise<Readonly<Record<KeyOrValue, Values>>>;
}

/** Those of checkpoints, one for each adapter in the model. @throws IpgraftError `ADAPTER_COUNT`, `ADAPTER_WIDTH` */
export function checkpointWeights(adapters: readonly Adapter[], located: Located): ImageWeights {
  const layers = adapters.map((adapter) => fitAdapter(adapter, located));
  return {
    source: adapters.map(({ name }) => name).join(', '),
    async of(adapter, attention) {
      const { key, value } = layers[adapter]!.get(attention)!;
      return { k: await numbersOf(key), v: await numbersOf(value) };
    },
  };
}

/** A checkpoint's tensor as float32 numbers. */
export async function numbersOf(tensor: CheckpointTensor): Promise<Values> {
  const data = decodeFloats(await tensor.read(), floatTypeOf(tensor.dtype, tensor.name));
  return { dims: tensor.shape, data };
}

/** Those that the patched model has inside: wrong ones are then taken for right, and only what is done with them is checked. */
export function ownWeights(patched: OpenedModel): ImageWeights {
  return {
    source: 'the patched model itself',
    async of(adapter, { scope, packedHeads, width }) {
      const read = async (which: KeyOrValue | 'kv') =>
        transposed(await initializerNumbers(patched, imageWeightOf(scope, which, adapter)));
      if (packedHeads === null) return { k: await read('k'), v: await read('v') };
      return unpacked(await read('kv'), packedHeads, width / packedHeads);
    },
  };
}

/** The base's own to_k and to_v, where image weights started as their copies. */
export function textWeights(base: OpenedModel): ImageWeights {
  return {
    source: 'to_k and to_v of the base',
    async of(_, { key, value, scope }) {
      if (key.weight === null || value.weight === null)
        throw new IpgraftError('MODEL_TYPE_UNSUPPORTED', `${scope}: sought to_k and to_v in floats`, {
          scope,
        });
      const [k, v] = [
        await initializerNumbers(base, key.weight),
        await initializerNumbers(base, value.weight),
      ];
      return { k: transposed(k), v: transposed(v) };
    },
  };
}

/** An initializer's numbers as float32. @throws IpgraftError `MODEL_TYPE_UNSUPPORTED` */
export async function initializerNumbers(opened: OpenedModel, name: string): Promise<Values> {
  const { dims, dataType } = opened.graph.initializers.get(name)!;
  const bytes = await wholeSegment(await locateData(opened, name));
  return { dims, data: decodeFloats(bytes, dataTypeName(dataType) as FloatType) };
}

function transposed({ dims, data }: Values): Values {
  const [rows, columns] = dims as [number, number];
  const turned = new Float32Array(data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      turned[column * rows + row] = data[row * columns + column]!;
  return { dims: [columns, rows], data: turned };
}

/** [2h, C], per head its key's rows and then its value's → [h, C] twice. */
function unpacked({ dims, data }: Values, heads: number, headWidth: number): Record<KeyOrValue, Values> {
  const [both, width] = dims as [number, number];
  const block = headWidth * width;
  const half = (offset: number): Values => {
    const own = new Float32Array(data.length / 2);
    for (let head = 0; head < heads; head++)
      own.set(data.subarray((2 * head + offset) * block, (2 * head + offset + 1) * block), head * block);
    return { dims: [both / 2, width], data: own };
  };
  return { k: half(0), v: half(1) };
}
