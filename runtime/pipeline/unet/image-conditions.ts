import { IpgraftError } from '../../../compiler/errors.js';
import { expandDiffusersScale } from '../../../passes/diffusers-scale.js';
import { MASK_INPUT } from '../../../passes/insert-image-mask.js';
import { adapterSuffix } from '../../../passes/names.js';
import { SCALE_INPUT } from '../../../passes/scale-values.js';
import type { Values } from '../../session/session.js';
import type { ImageRow } from '../image-prompt/project-images.js';
import type { AdapterPrompt } from '../request.js';
import { type Feeds, stackRows } from '../run-component.js';
import type { Graft, GraftedAdapter } from './graft.js';
import { type ImageWidths, imageInput } from './image-widths.js';

/** What one adapter of the UNet gets. */
export interface AdapterCondition {
  readonly adapter: GraftedAdapter;
  /** `null` where it has nothing to look at. */
  readonly row: ImageRow | null;
  readonly prompt: AdapterPrompt | null;
}

/** How many rows of each kind the UNet has: unconditional ones first. */
export interface Rows {
  readonly negative: number;
  readonly positive: number;
}

/** What the UNet is fed beside sample, timestep and text, and what stands behind the text. */
export interface ImageFeeds {
  readonly feeds: Feeds;
  /** [rows, T, C] behind the text states; `null` where nothing does. */
  readonly behindText: Values | null;
}

/**
 * What a patched UNet takes of its adapters at each step. An adapter without images, or outside of its share of the steps, is switched off: by
 * its scale, and by tokens of zeros where tokens come from outside (they add nothing at any scale, because keys and values have no bias).
 * @throws IpgraftError `PIPELINE_IMAGE_PROMPT` where the model has no way to do what is asked
 */
export class ImageConditions {
  private readonly graft: Graft;
  private readonly adapters: readonly AdapterCondition[];
  private readonly rows: Rows;
  private readonly widths: ImageWidths;
  private readonly mask: Values | null;
  /** Of each adapter: one, or one for each layer; `undefined` where nothing was said. */
  private readonly scales: readonly (number | readonly number[] | undefined)[];
  private readonly kept = new Map<string, ImageFeeds>();

  constructor(
    graft: Graft,
    adapters: readonly AdapterCondition[],
    rows: Rows,
    widths: ImageWidths,
    mask: Values | null,
  ) {
    this.graft = graft;
    this.adapters = adapters;
    this.rows = rows;
    this.widths = widths;
    this.mask = mask;
    this.scales = adapters.map((condition) => this.scaleOf(condition));
  }

  /** What is fed at a step; the same object while nothing changes. */
  at(step: number, steps: number): ImageFeeds {
    const active = this.adapters.map(
      ({ row, prompt }) => row !== null && prompt !== null && isActive(prompt, step, steps),
    );
    const key = active.join();
    let found = this.kept.get(key);
    if (found === undefined) {
      found = this.feedsFor(active);
      this.kept.set(key, found);
    }
    return found;
  }

  private feedsFor(active: readonly boolean[]): ImageFeeds {
    const { graft } = this;
    const feeds: Record<string, Values> = {};
    const behind: Values[] = [];
    for (const [index, condition] of this.adapters.entries()) {
      const row = active[index] ? condition.row : null;
      const rows = this.stacked(row?.negative, row?.image, this.widths.tokens(index));
      if (graft.tokens === 'split' && !graft.hoist) behind.push(rows);
      else feeds[`${imageInput(graft)}${adapterSuffix(index)}`] = rows;
      const face = this.widths.face(index);
      // Of no face the embedding is zeros.
      if (face !== null) feeds[`id_embeds${adapterSuffix(index)}`] = this.stacked(undefined, row?.face, face);
    }
    const scale = this.scale(active);
    if (scale !== null) feeds[SCALE_INPUT] = graft.batched ? this.forEachRow(scale) : scale;
    if (this.mask !== null) {
      const { dims, data } = this.mask;
      // [images, 1, H, W]; with an axis of rows in front [B, images, H, W].
      feeds[MASK_INPUT] = graft.batched
        ? this.forEachRow({ dims: [dims[0]!, ...dims.slice(2)], data })
        : this.mask;
    }
    return { feeds, behindText: behind.length === 0 ? null : alongTokens(behind) };
  }

  /** [negative rows ; positive rows] of one adapter; zeros where there is nothing. */
  private stacked(
    negative: Values | undefined,
    positive: Values | null | undefined,
    dims: readonly number[],
  ): Values {
    const shape = (positive ?? negative)?.dims ?? [1, ...dims];
    const zeros = { dims: shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) };
    return stackRows([
      ...Array.from({ length: this.rows.negative }, () => negative ?? zeros),
      ...Array.from({ length: this.rows.positive }, () => positive ?? zeros),
    ]);
  }

  /** The same for each row, behind an axis of rows. */
  private forEachRow({ dims, data }: Values): Values {
    const one = { dims: [1, ...dims], data };
    return stackRows(Array.from({ length: this.rows.negative + this.rows.positive }, () => one));
  }

  /** `ip_scale` in the shape that the model takes; `null` where it takes none, or its own default is to hold. */
  private scale(active: readonly boolean[]): Values | null {
    const { scale, layers, batched } = this.graft;
    if (scale === 'constant') return null;
    const isDefault =
      scale === 'optional' && this.scales.every((given, i) => active[i] && given === undefined);
    if (isDefault) return null;
    // Where every input has an axis of rows in front, a scale per row has no other.
    const more =
      scale === 'layers'
        ? [layers.length]
        : scale === 'rows' && !batched
          ? [this.rows.negative + this.rows.positive]
          : [];
    const columns = more[0] ?? 1;
    const data = new Float32Array(this.adapters.length * columns);
    for (const [index, given] of this.scales.entries()) {
      const wanted = active[index] ? (given ?? 1) : 0;
      for (let column = 0; column < columns; column++)
        data[index * columns + column] = typeof wanted === 'number' ? wanted : wanted[column]!;
    }
    return { dims: [this.adapters.length, ...more], data };
  }

  /** The scale that is asked for, as the model takes it. */
  private scaleOf({ adapter, row, prompt }: AdapterCondition): number | readonly number[] | undefined {
    const { scale, tokens, hoist, layers } = this.graft;
    const refusal = (why: string) =>
      new IpgraftError('PIPELINE_IMAGE_PROMPT', `${adapter.name}: ${why}`, { adapter: adapter.name });
    const refuse = (sought: string, found: string) => {
      throw refusal(`sought ${sought}, found ${found}`);
    };
    const isGated = prompt !== null && (prompt.start > 0 || prompt.end < 1);
    if (scale === 'constant' && tokens === 'embeds' && !hoist && (row === null || isGated))
      refuse(row === null ? 'an image' : 'the whole of the steps', 'an adapter whose scale is baked in');
    const wanted = prompt?.scale;
    if (wanted === undefined) return undefined;
    if (scale === 'constant') refuse('no scale', 'a scale, where the model has its own baked in');
    if (typeof wanted === 'number') return wanted;
    if (scale !== 'layers') refuse('one scale', 'one for each layer, where the model takes one for all');
    if (Array.isArray(wanted)) {
      if (wanted.length !== layers.length)
        refuse(`${layers.length} scales, one for each cross-attention`, String(wanted.length));
      return wanted;
    }
    const byId = expandDiffusersScale(wanted, layers, (why) => refusal(`its scale: ${why}`));
    return layers.map(({ id }) => byId.get(id) ?? 0);
  }
}

/**
 * Whether an adapter counts at a step: in whole inside of its share of the steps, as in the control_guidance_start and -end of diffusers'
 * pipelines.
 */
function isActive({ start, end }: AdapterPrompt, step: number, steps: number): boolean {
  return !(step / steps < start || (step + 1) / steps > end);
}

/** [B, T₁, C] and [B, T₂, C] → [B, T₁ + T₂, C]. */
export function alongTokens(parts: readonly Values[]): Values {
  if (parts.length === 1) return parts[0]!;
  const [rows, , width] = parts[0]!.dims as [number, number, number];
  const tokens = parts.reduce((sum, { dims }) => sum + dims[1]!, 0);
  const data = new Float32Array(rows * tokens * width);
  let filled = 0;
  for (let row = 0; row < rows; row++)
    for (const part of parts) {
      const size = part.dims[1]! * width;
      data.set(part.data.subarray(row * size, (row + 1) * size), filled);
      filled += size;
    }
  return { dims: [rows, tokens, width], data };
}
