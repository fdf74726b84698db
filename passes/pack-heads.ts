import type { ProducedSegment, Segment } from '../compiler/wire/rope.js';
import { wholeSegment } from '../compiler/wire/segment-bytes.js';

/**
 * Weights of keys and values as ONNX Runtime packs them: [C, h] and [C, h] → [C, H, 2, d], per head its key's columns and
 * then its value's. `blocks` = C · H counts the runs of d columns in one of them.
 *
 * Source: `FusionAttentionUnet.create_attention_node` with `enable_packed_kv` in onnxruntime/python/tools/transformers.
 */
export function packHeads(key: Segment, value: Segment, blocks: number): ProducedSegment {
  return {
    kind: 'produced',
    length: key.length + value.length,
    async *produce() {
      const [k, v] = [await wholeSegment(key), await wholeSegment(value)];
      const block = k.length / blocks;
      const packed = new Uint8Array(k.length + v.length);
      for (let i = 0; i < blocks; i++) {
        packed.set(k.subarray(i * block, (i + 1) * block), 2 * i * block);
        packed.set(v.subarray(i * block, (i + 1) * block), (2 * i + 1) * block);
      }
      yield packed;
    },
  };
}
