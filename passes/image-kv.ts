import type { Edit } from '../compiler/edit/edit.js';
import { Fragment, NodeNames } from '../compiler/edit/fragment.js';
import type { NewInput } from '../compiler/onnx/create.js';
import type { FloatType } from '../compiler/onnx/data-type.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import { castTo } from './cast.js';
import { type KvPart, kvParts } from './insert-kv-input.js';
import { imageWeightOf, nodeScope } from './names.js';
import type { Plan } from './plan.js';
import { embeddingInputs, projectImages } from './project-image-embeds.js';

/** What the model of an adapter's keys and values reads and gives. */
export interface KvInterface {
  readonly inputs: readonly [NewInput, ...NewInput[]];
  /** How many tokens of all images. */
  readonly tokens: number;
  /** Of what it gives, [B, tokens, W]. */
  readonly dataType: FloatType;
  /** Where in W each attention's keys and values lie. */
  readonly parts: readonly KvPart[];
}

/** What the model of an adapter's keys and values reads and gives. */
export function kvInterface({ grafts, branches, tokens, dataType }: Plan, adapter: number): KvInterface {
  const { adapter: checkpoint, images, tokens: each, tokenWidth } = grafts[adapter]!;
  const parts = kvParts(branches, adapter);
  const name = 'ip_hidden_states';
  const inputs: [NewInput, ...NewInput[]] =
    tokens === 'embeds'
      ? embeddingInputs(checkpoint!.projection, dataType, 0, images)
      : [{ name, dataType, shape: ['image_batch_size', each * images, tokenWidth] }];
  return {
    inputs,
    tokens: each * images,
    dataType: parts[0]!.attention.dataType,
    parts,
  };
}

/** Fills a graph of one node, which hands `read` on as `output`, with all to_k_ip and to_v_ip of an adapter, their results side by side. */
export function imageKv(plan: Plan, adapter: number, output: ValueName): Pass {
  const { inputs, dataType, parts } = kvInterface(plan, adapter);
  const graft = plan.grafts[adapter]!;
  return {
    name: 'image-kv',
    summary: 'makes a model of its own of the keys and values of an adapter’s images',
    run(graph) {
      const names = new NodeNames(graph);
      const shared = new Fragment(names, '/image_kv');
      const read = inputs[0].name;
      const tokens =
        plan.tokens === 'embeds'
          ? projectImages(shared, graft.adapter!, graft.images, inputs, {
              opset: graph.opset,
              parameters: 'image_proj',
            })
          : read;
      const states = castTo(shared, tokens, plan.tokens === 'embeds' ? 'float' : plan.dataType, dataType);
      const products = parts.map(({ attention: { scope, textWidth }, which, width, data }) => {
        const name = imageWeightOf(scope, which, 0);
        const weight = shared.tensor({ name, dataType, dims: [textWidth, width], data });
        return shared.node('MatMul', [states, weight], {
          name: `${nodeScope(scope).slice(1)}/to_${which}_ip`,
        });
      });
      const packed = shared.node('Concat', products, { attributes: { axis: 2 } });
      return [
        ...shared.edits(output),
        { kind: 'rewire', node: output, input: 0, from: read, to: packed } satisfies Edit,
      ];
    },
  };
}
