import { parseJournal } from '../../../compiler/edit/journal.js';
import { revert } from '../../../compiler/edit/revert.js';
import type { Graph } from '../../../compiler/onnx/graph.js';
import { type CrossAttention, locateCrossAttention } from '../../../passes/locate-cross-attention.js';
import { JOURNAL_KEY, METADATA_PREFIX } from '../../../passes/stamp-metadata.js';
import { openModel } from '../../open.js';
import { type ReadStamp, readStamp } from '../../stamp.js';

/** One adapter inside a UNet. */
export interface GraftedAdapter {
  /** As its file is called. */
  readonly name: string;
  /** Image tokens per image. */
  readonly tokens: number;
  /** How many images it reads. */
  readonly images: number;
  /** How it makes image tokens; `null` where the model does not say. */
  readonly family: string | null;
}

/** What a patched UNet says of how it takes images. */
export interface Graft {
  readonly adapters: readonly GraftedAdapter[];
  /** Its input with the text states. */
  readonly textInput: string;
  /** Behind the text, in an input of their own, or as what the encoder gives. */
  readonly tokens: 'split' | 'input' | 'embeds';
  /** Whether keys and values come from a model of their own. */
  readonly hoist: boolean;
  /** Whether every input has an axis of rows in front, `ip_scale` and `ip_mask` too. */
  readonly batched: boolean;
  /** Whether it takes a mask per image. */
  readonly masks: boolean;
  /** Who says how strongly images count: an input with one number per adapter, per layer, per row; one with a default; nobody. */
  readonly scale: 'input' | 'layers' | 'rows' | 'optional' | 'constant';
  /** Its cross-attentions in checkpoint order, where each takes a scale of its own; else none. */
  readonly layers: readonly GraftedLayer[];
  /** The scale that holds where none is given: of one with a default, or the one baked in where that is a number; else 1. */
  readonly defaultScale: number;
}

/** A cross-attention of a patched UNet. */
export type GraftedLayer = Pick<CrossAttention, 'id' | 'place' | 'scope'>;

/**
 * Reads how a UNet was patched; `null` for one that was not, or whose stamp tells of no adapter.
 * @throws IpgraftError `MODEL_*`, `WIRE_*`, `MODEL_NOT_PATCHED` where the stamp cannot be read; `EDIT_*`, `MATCH_*` where layers have scales and the
 *   journal does not lead back to a UNet
 */
export async function readGraft(path: string): Promise<Graft | null> {
  const model = await openModel(path);
  try {
    const isPatched = [...model.graph.metadata.keys()].some((key) => key.startsWith(METADATA_PREFIX));
    if (!isPatched) return null;
    const stamp = readStamp(model);
    const options = stamp['ipgraft.options'];
    if (!('tokens' in options)) return null;
    return {
      adapters: stamp['ipgraft.adapters'].map(({ name, tokens, images, family }) => ({
        name,
        tokens,
        images,
        family: family ?? null,
      })),
      textInput: stamp['ipgraft.input'],
      tokens: options.tokens,
      hoist: options.hoist,
      batched: options.batched,
      masks: options.masks,
      scale: scaleKind(options.scale),
      layers: options.scale === 'layers' ? layersOf(model.graph, stamp, options.patterns) : [],
      defaultScale: Number(/^(?:optional=)?([-+\d.e]+)$/i.exec(options.scale)?.[1] ?? 1),
    };
  } finally {
    await model.close();
  }
}

/** Found in the base, as when it was patched: columns also count what a pattern left out. */
function layersOf(
  graph: Graph,
  { 'ipgraft.input': textInput }: ReadStamp,
  patterns: readonly string[],
): GraftedLayer[] {
  const base = revert(graph, parseJournal(graph.metadata.get(JOURNAL_KEY) ?? ''));
  return locateCrossAttention(base, { textInput, patterns }).attentions.map(({ id, place, scope }) => ({
    id,
    place,
    scope,
  }));
}

function scaleKind(scale: string): Graft['scale'] {
  if (scale === 'input' || scale === 'layers' || scale === 'rows') return scale;
  return scale.startsWith('optional') ? 'optional' : 'constant';
}
