import { moduleOfParameter, modulePath, type Scope, scopeOf } from '../compiler/analysis/scope.js';
import { IpgraftError } from '../compiler/errors.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Node, ValueName } from '../compiler/onnx/node.js';
import type { ProjectionPair } from './text-projections.js';

/**
 * The module path of an attention: the parent of its to_k and to_v, which must agree; else the parent of to_out.0, told by its
 * bias, whose name survives every optimiser; else the module in which its result is made. `undefined` when no name is left.
 * @throws IpgraftError `MATCH_UNCONFIRMED` when names contradict the dataflow
 */
export function scopeOfAttention(graph: Graph, { key, value, exit }: ProjectionPair): Scope | undefined {
  const [ofKey, ofValue] = [scopeOf(graph, key.layer.node), scopeOf(graph, value.layer.node)];
  const parents = [parentOf(ofKey, ['to_k', 'to_kv']), parentOf(ofValue, ['to_v', 'to_kv'])];
  if (parents[0] !== undefined && parents[0] === parents[1])
    return { path: parents[0], source: ofKey!.source };
  if (ofKey !== undefined && ofValue !== undefined && /\.to_[kqv]$/.test(ofKey.path)) {
    throw new IpgraftError(
      'MATCH_UNCONFIRMED',
      `by dataflow ${ofKey.path} is a key and ${ofValue.path} a value; sought names that end in to_k and to_v of one module`,
      { key: ofKey.path, value: ofValue.path },
    );
  }
  return scopeOfOutput(graph, exit.node) ?? scopeOfResult(exit.node.inputs[exit.input]!);
}

/** Modules that names propose as attentions, whatever dataflow says of them. */
export function proposedAttentions(graph: Graph): Set<string> {
  const proposed = new Set<string>();
  const propose = (path: string | undefined): void => {
    const module = path === undefined ? undefined : /^(.+)\.to_(?:[kqv]|kv|qkv|out\.0)$/.exec(path)?.[1];
    // Motion modules attend over frames, not over the text, under the same names.
    if (module !== undefined && !module.includes('motion_modules')) proposed.add(module);
  };
  for (const node of graph.nodes) propose(scopeOf(graph, node)?.path);
  for (const name of graph.initializers.keys()) propose(moduleOfParameter(name));
  return proposed;
}

/** How far behind the multiplication to_out's bias may stand: quantizer, product, cast, scale. */
const FARTHEST_BIAS = 5;

function scopeOfOutput(graph: Graph, start: Node): Scope | undefined {
  let node: Node | undefined = start;
  for (let step = 0; node !== undefined && step <= FARTHEST_BIAS; step++) {
    const scope = scopeOf(graph, node);
    const path = parentOf(scope, ['to_out.0']);
    if (path !== undefined) return { path, source: scope!.source };
    const readers: Node[] = graph.uses(node.id).map((use) => use.node);
    node = readers[0];
  }
  return undefined;
}

/** Fused operators keep the value names of what they replace: `/…/attn2/Reshape_7_output_0`. */
function scopeOfResult(value: ValueName): Scope | undefined {
  const path = modulePath(value);
  return path === undefined ? undefined : { path, source: 'value name' };
}

function parentOf(scope: Scope | undefined, children: readonly string[]): string | undefined {
  const child = children.find((name) => scope?.path.endsWith(`.${name}`));
  return child && scope!.path.slice(0, -child.length - 1);
}
