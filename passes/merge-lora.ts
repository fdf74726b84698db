import { type LinearLayer, layersAt } from '../compiler/analysis/linear-layer.js';
import { scopeOf } from '../compiler/analysis/scope.js';
import type { Edit } from '../compiler/edit/edit.js';
import { IpgraftError } from '../compiler/errors.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import type { Segment } from '../compiler/wire/rope.js';
import type { LoraLayer } from './adapter/layers.js';
import { type LoraTerm, mergedWeight } from './adapter/merged-weight.js';
import type { Graft } from './graft.js';
import type { CrossAttention } from './locate-cross-attention.js';

/** One Linear of the UNet that adapters change. */
export interface LoraSite {
  /** `down_blocks.0.….attn1.to_q`. */
  readonly scope: string;
  readonly layer: LinearLayer & { readonly weight: ValueName };
  readonly terms: readonly LoraTerm[];
}

/**
 * Where the LoRAs of FaceID adapters go: to_q, to_k, to_v and to_out of every transformer block's self-attention (even ids) and
 * cross-attention (odd ids), found by their names.
 * @throws IpgraftError `ADAPTER_LORA`, `MATCH_LORA`
 */
export function loraSites(
  graph: Graph,
  attentions: readonly CrossAttention[],
  grafts: readonly Graft[],
  scale: number,
): LoraSite[] {
  const all = grafts.flatMap(({ name, adapter }) => (adapter?.lora ?? []).map((lora) => ({ name, lora })));
  if (all.length === 0 || scale === 0) return [];
  const linear = linearLayers(graph);
  const scopes = new Map(attentions.map(({ id, scope }) => [id, scope]));
  const sites = new Map<string, { layer: LoraSite['layer']; terms: LoraTerm[] }>();
  for (const { name, lora } of all) {
    const scope = scopeOfLora(name, lora, scopes);
    const layer = linear.get(scope);
    if (layer === undefined) throw notFound(scope, 'no linear layer of that name');
    const { weight } = layer;
    if (weight === null)
      throw notFound(scope, 'one whose weight is packed, quantized, or computed from another');
    refuseOtherWidths(name, scope, lora, layer);
    const site = sites.get(scope) ?? { layer: { ...layer, weight }, terms: [] };
    site.terms.push({ down: lora.down, up: lora.up, scale });
    sites.set(scope, site);
  }
  return [...sites].map(([scope, site]) => ({ scope, ...site }));
}

/** Every linear layer by the module that it is. */
function linearLayers(graph: Graph): Map<string, LinearLayer> {
  const found = new Map<string, LinearLayer>();
  for (const node of graph.nodes) {
    for (const layer of layersAt(graph, node)) {
      const path = scopeOf(graph, layer.node)?.path;
      if (path !== undefined) found.set(path, layer);
    }
  }
  return found;
}

/** Ids count self-attention and cross-attention of each transformer block. */
function scopeOfLora(
  adapter: string,
  { id, module }: LoraLayer,
  scopes: ReadonlyMap<number, string>,
): string {
  const cross = id % 2 === 1 ? id : id + 1;
  const scope = scopes.get(cross);
  if (scope === undefined)
    throw new IpgraftError(
      'ADAPTER_LORA',
      `${adapter}: layer ${id} has a LoRA, and the UNet has no attention of that id`,
      { adapter, layer: id },
    );
  const attention = id % 2 === 1 ? scope : scope.replace(/attn2$/, 'attn1');
  return `${attention}.${module === 'to_out' ? 'to_out.0' : module}`;
}

function refuseOtherWidths(
  adapter: string,
  scope: string,
  { id, down, up }: LoraLayer,
  layer: LinearLayer,
): void {
  const [sought, found] = [
    [layer.outputWidth, layer.inputWidth],
    [up.shape[0]!, down.shape[1]!],
  ];
  if (sought.join() === found.join()) return;
  throw new IpgraftError(
    'ADAPTER_LORA',
    `${adapter}: the LoRA of layer ${id} changes a weight of [${found}], ${scope} has [${sought}]`,
    { adapter, layer: id, scope, sought, found },
  );
}

function notFound(scope: string, found: string): IpgraftError {
  return new IpgraftError(
    'MATCH_LORA',
    `sought the linear layer ${scope} with a float weight, found ${found}`,
    {
      scope,
    },
  );
}

/**
 * Gives each site a weight of its own, `W + Σ λ · up · down`, and leaves the base's where it is: undoing needs nothing but
 * the base's name. `weights` has the base's data by initializer, as it is stored: [in, out].
 *
 * Source: FaceID's `LoRAIPAttnProcessor` computes `x · Wᵀ + λ · x · downᵀ · upᵀ`, which is the same.
 */
export function mergeLora(sites: readonly LoraSite[], weights: ReadonlyMap<ValueName, Segment>): Pass {
  return {
    name: 'merge-lora',
    summary:
      'replaces the weights of self- and cross-attentions by those with the LoRA of a FaceID adapter merged in',
    run() {
      return sites.flatMap(({ scope, layer, terms }): Edit[] => {
        const { weight, inputWidth, outputWidth, dataType, node } = layer;
        const name = `${scope}.faceid.weight`;
        const dims = [inputWidth, outputWidth];
        const data = mergedWeight(weights.get(weight)!, dataType, dims as [number, number], terms);
        return [
          { kind: 'insert-initializer', tensor: { name, dataType, dims, data } },
          { kind: 'rewire', node: node.id, input: 1, from: node.inputs[1]!, to: name },
        ];
      });
    },
  };
}
