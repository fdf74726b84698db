import { downstream } from '../compiler/analysis/cone.js';
import type { Edit } from '../compiler/edit/edit.js';
import { NodeNames } from '../compiler/edit/fragment.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Node, ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import { type Branch, type ImageProjectionLayer, projectionsOf } from './branch.js';
import type { ImageStream } from './image-stream.js';
import {
  ADAPTER_SCOPE,
  adapterSuffix,
  imageProjectionOf,
  imageWeightOf,
  nodeScope,
  TEXT_TOKENS,
} from './names.js';
import { isQuantizer } from './quantizers.js';

/**
 * Adds to_k_ip and to_v_ip: `K' = image tokens × to_k_ip.weight` [B, T, h] and the same for V', for each branch; one
 * multiplication with both where the base packs keys and values into one value. Where the base casts or repeats its text
 * states on the way to to_k, the image tokens take the same way; they go around quantizers, whose ranges were not made for them.
 */
export function insertImageKv(textStates: ValueName, branches: readonly Branch[]): Pass {
  return {
    name: 'insert-image-kv',
    summary: 'multiplies the image tokens with to_k_ip and to_v_ip at every cross-attention',
    run(graph) {
      const way = new ImageWay(graph, textStates);
      const projections = branches.flatMap((branch) => {
        const { attention, stream, states, weights } = branch;
        return projectionsOf(attention, weights).flatMap((layer) => {
          const { input } = layer.which === 'v' ? attention.value : attention.key;
          return project(branch, layer, way.along(input, stream, states));
        });
      });
      return [...way.edits, ...projections];
    },
  };
}

function project(branch: Branch, { which, width, data }: ImageProjectionLayer, tokens: ValueName): Edit[] {
  const { attention, stream, isFirst } = branch;
  const name = imageWeightOf(attention.scope, which, stream.adapter);
  const { textWidth, dataType } = attention;
  const weight: Edit = {
    kind: 'insert-initializer',
    tensor: { name, dataType, dims: [textWidth, width], data },
  };
  const product: Edit = {
    kind: 'insert-node',
    node: {
      opType: 'MatMul',
      name: `${nodeScope(attention.scope)}/to_${which}_ip${adapterSuffix(stream.index)}/MatMul`,
      inputs: [tokens, name],
      outputs: [imageProjectionOf(attention.scope, which, stream.index)],
    },
    before: attention.exit.node,
  };
  return isFirst ? [weight, product] : [product];
}

/** The way of the text from its input to a to_k, taken again by the image tokens, once for all sites. */
class ImageWay {
  readonly edits: Edit[] = [];
  private readonly graph: Graph;
  private readonly names: NodeNames;
  private readonly text: ValueName;
  /** What depends on the text in front of the linear layers. */
  private readonly nodes: ReadonlySet<Node>;
  private readonly known = new Map<string, ValueName>();

  constructor(graph: Graph, textStates: ValueName) {
    this.graph = graph;
    this.names = new NodeNames(graph);
    const isSplit = graph.inputs.has(textStates) && graph.producer(TEXT_TOKENS) !== undefined;
    this.text = isSplit ? TEXT_TOKENS : textStates;
    this.nodes = downstream(graph, this.text).nodes;
  }

  /** What the image tokens of a stream are where the text is `value`. */
  along(value: ValueName, stream: ImageStream, states: ValueName): ValueName {
    // A layer was located on the base, where it may have read the input itself.
    const producer = this.graph.producer(value);
    if (value === this.text || (producer === undefined && this.graph.inputs.has(value))) return states;
    if (producer === undefined || !this.nodes.has(producer)) return value;
    if (isQuantizer(producer)) return this.along(producer.inputs[0]!, stream, states);
    const key = `${value} ${states}`;
    const known = this.known.get(key);
    return known ?? this.repeat(producer, value, stream, states, key);
  }

  private repeat(
    producer: Node,
    value: ValueName,
    stream: ImageStream,
    states: ValueName,
    key: string,
  ): ValueName {
    const inputs = producer.inputs.map((input) =>
      this.isText(input) ? this.along(input, stream, states) : input,
    );
    const name = this.names.claim(`${ADAPTER_SCOPE}/${producer.opType}_image${adapterSuffix(stream.index)}`);
    const image = `${name}_output_0`;
    this.edits.push({
      kind: 'insert-node',
      node: { cloneOf: value, name, inputs, outputs: [image] },
      before: null,
    });
    this.known.set(key, image);
    return image;
  }

  private isText(value: ValueName): boolean {
    const producer = this.graph.producer(value);
    return value === this.text || (producer !== undefined && this.nodes.has(producer));
  }
}
