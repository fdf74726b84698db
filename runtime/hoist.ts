import type { Rope } from '../compiler/wire/rope.js';
import { imageKv, kvInterface } from '../passes/image-kv.js';
import { KV_INPUT } from '../passes/insert-kv-input.js';
import { adapterSuffix } from '../passes/names.js';
import type { PatchedModel } from './compile.js';
import { fillSkeleton } from './skeleton.js';

/**
 * The models, one per adapter, that compute the keys and values which a UNet compiled with `hoist` takes: `ip_hidden_states`
 * [B, n · T, C] or the embeddings of n images → `ip_kv` [B, n · T, W]. In the UNet's own opset, so that they compute what it
 * would, bit for bit. Empty for a UNet that computes its own.
 */
export function hoistedModels({ plan, opened }: PatchedModel): Promise<Rope[]> {
  if (plan === null || !plan.hoist) return Promise.resolve([]);
  return Promise.all(
    plan.grafts.map((_, adapter) => {
      const { inputs, dataType, tokens, parts } = kvInterface(plan, adapter);
      const output = { name: KV_INPUT, dataType, shape: ['image_batch_size', tokens, parts.at(-1)!.to] };
      return fillSkeleton('image_kv', inputs, output, imageKv(plan, adapter, KV_INPUT), opened.graph);
    }),
  );
}

/** Where they are written beside `OUT.onnx`: `OUT.kv.onnx`, `OUT.kv_2.onnx`, … */
export function hoistedPath(output: string, adapter: number): string {
  return `${output.replace(/\.onnx$/, '')}.kv${adapterSuffix(adapter)}.onnx`;
}
