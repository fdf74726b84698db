import { LARGE } from '../wire/load-sparse.js';
import { Rope, type Segment } from '../wire/rope.js';
import type { Graph } from './graph.js';
import type { Initializer } from './initializer.js';
import type { ExternalData } from './tensor-header.js';

/** Where large tensors go. */
export interface Placement {
  /** Name of a new file beside the model for inserted weights; `null` carries them inside the model. */
  readonly sidecar: string | null;
  /**
   * Large weights that the base carries inside itself: `carry` them on, `reference` them in the base file (by its name,
   * in the same folder), or move them to the `sidecar`.
   */
  readonly base: 'carry' | 'sidecar' | { readonly reference: string };
}

export interface PlacedWeights {
  readonly graph: Graph;
  /** Content of the sidecar file; empty when nothing went there. */
  readonly sidecar: Rope;
  /** How many tensors of the base are named instead of carried, and their bytes. */
  readonly referenced: { readonly tensors: number; readonly bytes: number };
}

/** What memory mapping asks for on every platform (Windows' allocation granularity). Bytes. */
const ALIGNMENT = 64 * 1024;

/**
 * Decides for every large tensor whether the model file carries or names it. Small ones (under 16 KiB) always stay: shape
 * inference must see them. Copies nothing; a tensor that is named keeps its bytes where they are.
 */
export function placeWeights(graph: Graph, placement: Placement): PlacedWeights {
  const sidecar = new Sidecar();
  const referenced = { tensors: 0, bytes: 0 };
  const initializers = new Map(graph.initializers);
  for (const [name, tensor] of graph.initializers) {
    const data = largeData(tensor);
    if (data === undefined) continue;
    let external: ExternalData | undefined;
    if (tensor.place === null) {
      if (placement.sidecar !== null) external = sidecar.add(placement.sidecar, data);
    } else if (placement.base === 'sidecar') external = sidecar.add(placement.sidecar!, data);
    else if (placement.base !== 'carry' && data.kind === 'stored') {
      external = { location: placement.base.reference, offset: data.offset, length: data.length };
    }
    if (external === undefined) continue;
    initializers.set(name, tensor.withExternalData(external));
    if (tensor.place !== null) {
      referenced.tensors += 1;
      referenced.bytes += data.length;
    }
  }
  return { graph: graph.with({ initializers }), sidecar: sidecar.content, referenced };
}

/** A tensor's raw data where it is large enough to be worth a place of its own. */
function largeData(tensor: Initializer): Segment | undefined {
  const { raw } = tensor;
  return raw !== null && raw.length >= LARGE && raw.segments.length === 1 ? raw.segments[0] : undefined;
}

class Sidecar {
  private readonly parts: Segment[] = [];
  private length = 0;

  add(location: string, data: Segment): ExternalData {
    const padding = (ALIGNMENT - (this.length % ALIGNMENT)) % ALIGNMENT;
    if (padding > 0) this.parts.push({ kind: 'loaded', length: padding, bytes: new Uint8Array(padding) });
    const offset = this.length + padding;
    this.parts.push(data);
    this.length = offset + data.length;
    return { location, offset, length: data.length };
  }

  get content(): Rope {
    return new Rope(this.parts);
  }
}
