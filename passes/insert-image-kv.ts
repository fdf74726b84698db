import type { Edit } from '../compiler/edit/edit.js';
import { NodeNames } from '../compiler/edit/fragment.js';
import type { NewTensor } from '../compiler/onnx/create.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import type { CrossAttention, TextProjection } from './locate-cross-attention.js';
import {
  ADAPTER_SCOPE,
  adapterSuffix,
  imageProjectionOf,
  imageTokensOf,
  imageWeightOf,
  type KeyOrValue,
  nodeScope,
} from './names.js';

/** The image branch of one adapter at one cross-attention. */
export interface Branch {
  readonly attention: CrossAttention;
  /** Index of the adapter, from 0. */
  readonly adapter: number;
  /** [C, h] in the model's type: what to_k_ip and to_v_ip multiply the image tokens with. */
  readonly weights: Readonly<Record<KeyOrValue, Pick<NewTensor, 'data'>>>;
}

/**
 * Adds to_k_ip and to_v_ip: `K' = image tokens × to_k_ip.weight` [B, T, h] and the same for V', for each branch.
 * Where the base casts its text states on the way to to_k, the image tokens take the same way.
 */
export function insertImageKv(branches: readonly Branch[]): Pass {
  return {
    name: 'insert-image-kv',
    summary: 'multiplies the image tokens with to_k_ip and to_v_ip at every cross-attention',
    run(graph) {
      const way = new ImageWay(graph);
      const projections = branches.flatMap((branch) =>
        (['k', 'v'] as const).flatMap((which) =>
          project(branch, which, way.tokens(projectionOf(branch, which), branch.adapter)),
        ),
      );
      return [...way.edits, ...projections];
    },
  };
}

function projectionOf({ attention }: Branch, which: KeyOrValue): TextProjection {
  return which === 'k' ? attention.key : attention.value;
}

function project(branch: Branch, which: KeyOrValue, tokens: ValueName): Edit[] {
  const { attention, adapter } = branch;
  const name = imageWeightOf(attention.scope, which, adapter);
  const { textWidth, width, dataType } = attention;
  return [
    {
      kind: 'insert-initializer',
      tensor: { name, dataType, dims: [textWidth, width], data: branch.weights[which].data },
    },
    {
      kind: 'insert-node',
      node: {
        opType: 'MatMul',
        name: `${nodeScope(attention.scope)}/to_${which}_ip${adapterSuffix(adapter)}/MatMul`,
        inputs: [tokens, name],
        outputs: [imageProjectionOf(attention.scope, which, adapter)],
      },
      before: attention.exit.node,
    },
  ];
}

/** The way of the text from its input to a to_k (a cast, if anything), taken again by the image tokens, once for all sites. */
class ImageWay {
  readonly edits: Edit[] = [];
  private readonly graph: Graph;
  private readonly names: NodeNames;
  private readonly known = new Map<string, ValueName>();

  constructor(graph: Graph) {
    this.graph = graph;
    this.names = new NodeNames(graph);
  }

  /** The image tokens of an adapter as `projection` reads the text. */
  tokens(projection: TextProjection, adapter: number): ValueName {
    return this.along(projection.input, adapter);
  }

  private along(text: ValueName, adapter: number): ValueName {
    const producer = this.graph.producer(text);
    // The text input itself, or the text part that was cut from it.
    if (producer === undefined || producer.place === null) return imageTokensOf(adapter);
    const key = `${text} ${adapter}`;
    let image = this.known.get(key);
    if (image === undefined) {
      const from = this.along(producer.inputs[0]!, adapter);
      const name = this.names.claim(`${ADAPTER_SCOPE}/${producer.opType}_image${adapterSuffix(adapter)}`);
      image = `${name}_output_0`;
      this.edits.push({
        kind: 'insert-node',
        node: { cloneOf: text, name, inputs: [from, ...producer.inputs.slice(1)], outputs: [image] },
        before: null,
      });
      this.known.set(key, image);
    }
    return image;
  }
}
