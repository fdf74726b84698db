import { IpgraftError } from '../compiler/errors.js';
import { fingerprint } from '../compiler/fingerprint.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import type { Edited } from '../compiler/run-passes.js';
import { runPasses } from '../compiler/run-passes.js';
import type { Segment } from '../compiler/wire/rope.js';
import type { Adapter } from '../passes/adapter/adapter.js';
import { type Graft, graftOf } from '../passes/graft.js';
import { dropPasses, graftPasses, locate } from '../passes/index.js';
import type { Located } from '../passes/locate-cross-attention.js';
import { loraSites, mergeLora } from '../passes/merge-lora.js';
import { type GraftOptions, type Plan, planGraft } from '../passes/plan.js';
import { ADAPTERS_KEY, BASE_KEY, OPTIONS_KEY, type Stamp } from '../passes/stamp-metadata.js';
import { locateData } from './locate-data.js';
import type { OpenedModel } from './open.js';
import { adaptersStamp } from './stamp.js';
import { textGraft } from './text-graft.js';
import { VERSION } from './version.js';

/** What to graft, and how. */
export interface CompileOptions extends GraftOptions {
  /** One or more adapters, in the order in which their tokens follow the text. */
  readonly adapters?: readonly Adapter[];
  /** Without an adapter: start to_k_ip and to_v_ip as copies of to_k and to_v, for this many image tokens. */
  readonly initFromText?: { readonly tokens: number };
  /** How much of the LoRA of FaceID adapters is merged into the UNet's weights. Default 1. */
  readonly loraScale?: number;
  /** For a ControlNet: take this many image tokens behind the text, and leave them unused. */
  readonly dropImageTokens?: number;
}

/** A patched model that is not written yet. */
export interface PatchedModel extends Edited {
  readonly opened: OpenedModel;
  readonly located: Located;
  readonly grafts: readonly Graft[];
  /** What was decided; `null` where image tokens are only dropped. */
  readonly plan: Plan | null;
  readonly options: CompileOptions;
}

/**
 * Grafts IP-Adapters into a UNet: `Z = Attn(Q, K, V) + Σ λ · Attn(Q, K', V')` at every selected cross-attention. Nothing is
 * written, no weight is read: the result names what goes where, and `writePatched` streams it.
 *
 * @throws IpgraftError `MATCH_*` when the cross-attentions cannot be found for sure, `ADAPTER_*` when an adapter is for another
 *   UNet, `MODEL_ALREADY_PATCHED`, `OPTION_*`
 */
export async function compile(opened: OpenedModel, options: CompileOptions): Promise<PatchedModel> {
  checkTask(options);
  const located = locate(opened.graph, options);
  const grafts = await graftsOf(opened, located, options);
  const { dropImageTokens } = options;
  const plan = dropImageTokens === undefined ? planGraft(opened.graph, located, grafts, options) : null;
  const stamp = stampOf(opened, grafts, plan, options);
  const passes =
    plan === null
      ? dropPasses(located, dropImageTokens!, stamp)
      : graftPasses(plan, stamp, await loraPass(opened, located, grafts, options.loraScale ?? 1));
  return { ...runPasses(opened, passes), opened, located, grafts, plan, options };
}

/** What a patched model says of its making, beside its edits. */
function stampOf(
  opened: OpenedModel,
  grafts: readonly Graft[],
  plan: Plan | null,
  {
    scale = 'input',
    weightType,
    embedsScaling,
    loraScale = 1,
    dropImageTokens,
    patterns = [],
  }: CompileOptions,
): Stamp {
  const hasLora = grafts.some(({ adapter }) => adapter !== null && adapter.lora.length > 0);
  return {
    'ipgraft.version': VERSION,
    [BASE_KEY]: fingerprint(opened.file),
    [ADAPTERS_KEY]: adaptersStamp(grafts),
    [OPTIONS_KEY]: JSON.stringify(
      plan === null
        ? { dropImageTokens, ...(patterns.length > 0 && { patterns }) }
        : {
            tokens: plan.tokens,
            scale,
            ...(weightType && { weightType }),
            ...(embedsScaling && { embedsScaling }),
            ...(plan.masks && { masks: true }),
            ...(plan.hoist && { hoist: true }),
            ...(hasLora && { loraScale }),
            ...(patterns.length > 0 && { patterns }),
          },
    ),
  };
}

function checkTask({ adapters = [], initFromText, dropImageTokens }: CompileOptions): void {
  const tasks = [adapters.length > 0, initFromText !== undefined, dropImageTokens !== undefined];
  if (tasks.filter(Boolean).length !== 1) {
    throw new IpgraftError(
      'OPTION_INVALID',
      'sought one of --adapter, --init-from-text and --drop-image-tokens',
      {
        found: tasks.filter(Boolean).length,
      },
    );
  }
  const count = initFromText?.tokens ?? dropImageTokens ?? 1;
  if (Number.isSafeInteger(count) && count >= 1) return;
  throw new IpgraftError('OPTION_INVALID', `sought a whole number of image tokens from 1, found ${count}`, {
    found: count,
  });
}

async function graftsOf(opened: OpenedModel, located: Located, options: CompileOptions): Promise<Graft[]> {
  const { adapters = [], initFromText } = options;
  if (initFromText !== undefined) return [await textGraft(opened, located, initFromText.tokens)];
  const counts = imagesOf(options.images ?? [1], adapters.length);
  return adapters.map((adapter, i) => graftOf(adapter, located, counts[i]));
}

/** The pass that merges the LoRAs of FaceID adapters; `null` where there is nothing to merge. */
async function loraPass(
  opened: OpenedModel,
  { attentions }: Located,
  grafts: readonly Graft[],
  scale: number,
): Promise<Pass | null> {
  if (!Number.isFinite(scale))
    throw new IpgraftError('OPTION_INVALID', `--lora-scale ${scale}: sought a number`);
  const sites = loraSites(opened.graph, attentions, grafts, scale);
  if (sites.length === 0) return null;
  const weights = new Map<ValueName, Segment>();
  for (const { layer } of sites) weights.set(layer.weight, await locateData(opened, layer.weight));
  return mergeLora(sites, weights);
}

/** How many images each of `adapters` reads. */
function imagesOf(images: readonly number[], adapters: number): number[] {
  const counts = images.length === 1 ? new Array<number>(adapters).fill(images[0]!) : [...images];
  const wrong = counts.find((count) => !Number.isSafeInteger(count) || count < 1);
  if (wrong !== undefined)
    throw new IpgraftError('OPTION_INVALID', `--images: sought whole numbers from 1, found ${wrong}`);
  if (counts.length === adapters) return counts;
  throw new IpgraftError('OPTION_INVALID', `--images: ${counts.length} numbers for ${adapters} adapters`);
}
