import { IpgraftError } from '../compiler/errors.js';

/** The three parts of a UNet in the order in which a checkpoint numbers them: the middle comes last. */
export const PARTS = ['down', 'up', 'mid'] as const;
export type Part = (typeof PARTS)[number];

/** Where a cross-attention stands in the UNet. */
export interface Place {
  readonly part: Part;
  /** The numbers in the module path behind the part, outermost first: block, attention, transformer block. */
  readonly numbers: readonly number[];
}

/** What must be known of a cross-attention to give it a scale or a weight of its own. */
export interface PlacedAttention {
  /** Its number in a checkpoint: 1, 3, 5… */
  readonly id: number;
  readonly place: Place;
}

/** Module names that begin a part: diffusers', and those of the original latent-diffusion code. */
const PART_OF: ReadonlyMap<string, Part> = new Map([
  ['down_blocks', 'down'],
  ['up_blocks', 'up'],
  ['mid_block', 'mid'],
  ['input_blocks', 'down'],
  ['output_blocks', 'up'],
  ['middle_block', 'mid'],
]);

/**
 * Reads the place from a module path such as `unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2`, or, in latent-diffusion's
 * names, `input_blocks.4.1.transformer_blocks.0.attn2`.
 * @throws IpgraftError `MATCH_PLACE`
 */
export function placeOf(scope: string): Place {
  const place = findPlace(scope);
  if (place !== undefined) return place;
  throw new IpgraftError(
    'MATCH_PLACE',
    `sought ${[...PART_OF.keys()].join(', ')} in the module path, found ${scope}`,
    { scope },
  );
}

/** As {@link placeOf}; `undefined` for a path that is not in a UNet's blocks. */
export function findPlace(scope: string): Place | undefined {
  const modules = scope.split('.');
  const start = modules.findIndex((module) => PART_OF.has(module));
  if (start < 0) return undefined;
  const first = modules[start]!;
  const numbers = modules
    .slice(start + 1)
    .filter((module) => /^\d+$/.test(module))
    .map(Number);
  return { part: PART_OF.get(first)!, numbers: LATENT_DIFFUSION.get(first)?.(numbers) ?? numbers };
}

/** Layers of a block, with the layer that scales down (or is the first convolution) or the third one on the way up. */
const LAYERS_OF_BLOCK = 3;

/**
 * Latent-diffusion counts layers through all blocks, the first convolution as 0, and what follows is the place within the layer.
 * Source: `convert_ldm_unet_checkpoint` in diffusers' loaders/single_file_utils.py.
 */
const LATENT_DIFFUSION: ReadonlyMap<string, (numbers: readonly number[]) => number[]> = new Map([
  [
    'input_blocks',
    ([layer = 0, , ...rest]) => [
      Math.floor((layer - 1) / LAYERS_OF_BLOCK),
      (layer - 1) % LAYERS_OF_BLOCK,
      ...rest,
    ],
  ],
  [
    'output_blocks',
    ([layer = 0, , ...rest]) => [Math.floor(layer / LAYERS_OF_BLOCK), layer % LAYERS_OF_BLOCK, ...rest],
  ],
  ['middle_block', ([, ...rest]) => [0, ...rest]],
]);

/**
 * The order in which an IP-Adapter checkpoint numbers cross-attentions: all of down, all of up, and **mid last**,
 * because diffusers registers a UNet's modules in that order. A graph runs down, mid, up: its order must never be used.
 * The n-th (from 0) has the id `2n + 1`; even ids are the self-attentions, which have no image weights.
 *
 * Source: `UNet2DConditionModel.attn_processors` and `loaders/unet.py` of diffusers; `ip_adapter.py` of
 * tencent-ailab/IP-Adapter saves a ModuleList in that order.
 */
export function inCheckpointOrder(a: Place, b: Place): number {
  if (a.part !== b.part) return PARTS.indexOf(a.part) - PARTS.indexOf(b.part);
  for (let i = 0; i < Math.max(a.numbers.length, b.numbers.length); i++) {
    const difference = (a.numbers[i] ?? -1) - (b.numbers[i] ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The id of the n-th cross-attention, counted from 0. */
export function checkpointId(n: number): number {
  return 2 * n + 1;
}
