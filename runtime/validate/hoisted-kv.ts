import { KV_INPUT } from '../../passes/insert-kv-input.js';
import type { CrossAttention } from '../../passes/locate-cross-attention.js';
import { adapterSuffix } from '../../passes/names.js';
import type { Values } from '../session/session.js';
import type { PatchedSites, Stream } from './patched-sites.js';

/** Where each cross-attention's image keys and values lie in `ip_kv` [B, n · T, W]: by attention in checkpoint order, keys first. */
export class HoistedKv {
  private readonly feeds: Readonly<Record<string, Values>>;
  /** By the cross-attention's id and the adapter: the column at which its keys begin. */
  private readonly columns = new Map<string, number>();

  constructor({ sites, located }: PatchedSites, feeds: Readonly<Record<string, Values>>) {
    this.feeds = feeds;
    const ends = new Map<number, number>();
    for (const { id, width } of located.attentions) {
      const terms = sites.find(({ attention }) => attention.id === id)?.terms ?? [];
      for (const adapter of new Set(terms.map(({ stream }) => stream.adapter))) {
        const begin = ends.get(adapter) ?? 0;
        this.columns.set(`${id} ${adapter}`, begin);
        ends.set(adapter, begin + 2 * width);
      }
    }
  }

  /** K' and V' of a stream, [B, T, h] each. */
  of({ id, width, packedHeads }: CrossAttention, { adapter, begin, tokens }: Stream): [Values, Values] {
    const { dims, data } = this.feeds[`${KV_INPUT}${adapterSuffix(adapter)}`]!;
    const [rows, all, total] = dims as [number, number, number];
    const from = this.columns.get(`${id} ${adapter}`)!;
    // Packed, each head's keys are followed by its values.
    const run = packedHeads === null ? width : width / packedHeads;
    const half = (offset: number): Values => {
      const part = new Float32Array(rows * tokens * width);
      for (let row = 0; row < rows * tokens; row++) {
        const token = Math.floor(row / tokens) * all + begin + (row % tokens);
        for (let column = 0; column < width; column += run) {
          const at = token * total + from + 2 * column + offset * run;
          part.set(data.subarray(at, at + run), row * width + column);
        }
      }
      return { dims: [rows, tokens, width], data: part };
    };
    return [half(0), half(1)];
  }
}
