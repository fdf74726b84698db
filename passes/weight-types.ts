import { IpgraftError } from '../compiler/errors.js';
import type { Part, PlacedAttention } from './checkpoint-order.js';

/** ComfyUI's names, with hyphens. */
export const WEIGHT_TYPES = [
  'linear',
  'ease-in',
  'ease-out',
  'ease-in-out',
  'reverse-in-out',
  'weak-input',
  'weak-middle',
  'weak-output',
  'strong-middle',
  'style-transfer',
  'composition',
  'strong-style-transfer',
  'style-and-composition',
  'strong-style-and-composition',
  'style-transfer-precise',
  'composition-precise',
] as const;
export type WeightType = (typeof WEIGHT_TYPES)[number];

/** A named distribution of the scale over the UNet's layers. All numbers are relative to the scale. */
export interface WeightTypeOptions {
  readonly name: WeightType;
  /** Of the two types with “and composition”: what the layers of composition get. Default 1. */
  readonly composition?: number;
  /** Of the precise types: what the layers get that are pushed away from the image. Default 1. */
  readonly boost?: number;
}

/** What a weight type makes of one cross-attention. */
export interface LayerWeight {
  /** What its scale is multiplied with; 0: no image attention. */
  readonly factor: number;
  /** Whether the negative half of the batch gets the positive half's image tokens, and the positive half none. */
  readonly swapped: boolean;
}

interface Layout {
  /** How many transformers each part has. */
  readonly counts: Readonly<Record<Part, number>>;
  /** Transformers that carry style, and composition with its share. The rest is neither. */
  readonly style: readonly number[];
  readonly composition: ReadonlyMap<number, number>;
}

/** Transformers are counted as the UNet runs them: down, middle, up. */
const LAYOUTS: readonly Layout[] = [
  {
    counts: { down: 6, mid: 1, up: 9 },
    style: [0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 15],
    composition: new Map([
      [4, 0.25],
      [5, 1],
    ]),
  },
  { counts: { down: 4, mid: 1, up: 6 }, style: [6], composition: new Map([[3, 1]]) },
];

/** What is left in the layers that a weight type weakens. */
const WEAK = 0.2;
/** What “precise” leaves in layers that are neither style nor composition. */
const REST = 0.1;
/** The smallest weight of the types that ease. */
const FLOOR = 0.05;

/**
 * The weight of each cross-attention, by its id. All blocks of one transformer share it.
 *
 * Source: the weight types of cubiq/ComfyUI_IPAdapter_plus (`IPAdapterAdvanced`; `ipadapter_attention` in CrossAttentionPatch.py), which
 * know the transformers of SD1.x and SDXL only.
 * @throws IpgraftError `OPTION_WEIGHT_TYPE` for another architecture
 */
export function layerWeights(
  { name, composition = 1, boost = 1 }: WeightTypeOptions,
  attentions: readonly PlacedAttention[],
): Map<number, LayerWeight> {
  const transformers = transformersOf(attentions);
  const parts = [...transformers.values()].map(({ part }) => part);
  const layout = LAYOUTS.find(({ counts }) =>
    Object.entries(counts).every(([part, count]) => parts.filter((each) => each === part).length === count),
  );
  if (layout === undefined) throw otherArchitecture(name, parts);
  return new Map(
    attentions.map((attention) => {
      const { index, part } = transformers.get(transformerOf(attention))!;
      const weight = weigh(name, index, part, parts.length, layout, composition, boost);
      return [attention.id, weight];
    }),
  );
}

function weigh(
  name: WeightType,
  t: number,
  part: Part,
  count: number,
  { style, composition }: Layout,
  compositionWeight: number,
  boost: number,
): LayerWeight {
  const share = composition.get(t);
  const isStyle = style.includes(t);
  const plain = (factor: number): LayerWeight => ({ factor, swapped: false });
  const eased = (rise: number) => plain(FLOOR + (1 - FLOOR) * rise);
  const weakened = (isWeak: boolean) => plain(isWeak ? WEAK : 1);
  const both = (weight: number) => (share !== undefined ? share * weight : isStyle ? 1 : 0);
  const fromMiddle = Math.abs(t - count / 2) / (count / 2);
  switch (name) {
    case 'linear':
      return plain(1);
    case 'ease-in':
      return eased(1 - t / count);
    case 'ease-out':
      return eased(t / count);
    case 'ease-in-out':
      return eased(1 - fromMiddle);
    case 'reverse-in-out':
      return eased(fromMiddle);
    case 'weak-input':
      return weakened(part === 'down');
    case 'weak-middle':
      return weakened(part === 'mid');
    case 'weak-output':
      return weakened(part === 'up');
    case 'strong-middle':
      return weakened(part !== 'mid');
    case 'style-transfer':
      return plain(isStyle ? 1 : 0);
    case 'composition':
      return plain(share ?? 0);
    case 'strong-style-transfer':
      return plain(share === undefined ? 1 : 0);
    case 'style-and-composition':
      return plain(both(compositionWeight));
    case 'strong-style-and-composition':
      return plain(share === undefined ? 1 : compositionWeight);
    case 'style-transfer-precise':
      return { factor: both(boost), swapped: share !== undefined };
    case 'composition-precise':
      return share === undefined
        ? { factor: isStyle ? boost : REST * boost, swapped: true }
        : { factor: share, swapped: false };
  }
}

/** What stands in a block in the place of one transformer: all its attentions have this in common. */
function transformerOf({ place }: PlacedAttention): string {
  return `${place.part} ${place.numbers.slice(0, place.part === 'mid' ? 1 : 2).join('.')}`;
}

/** Every transformer in the order in which the UNet runs it. */
function transformersOf(attentions: readonly PlacedAttention[]): Map<string, { index: number; part: Part }> {
  const order: readonly Part[] = ['down', 'mid', 'up'];
  const found = new Map<string, Part>();
  // Within a part, checkpoint order is the order of running.
  for (const part of order)
    for (const attention of attentions)
      if (attention.place.part === part) found.set(transformerOf(attention), part);
  return new Map([...found].map(([name, part], index) => [name, { index, part }]));
}

function otherArchitecture(name: WeightType, parts: readonly Part[]): IpgraftError {
  const count = (part: Part) => parts.filter((each) => each === part).length;
  const found = `${count('down')}, ${count('mid')} and ${count('up')}`;
  return new IpgraftError(
    'OPTION_WEIGHT_TYPE',
    `--weight-type ${name}: sought the transformers of SD1.x (6 down, 1 in the middle, 9 up) or SDXL (4, 1, 6), found ${found}`,
    { weightType: name, found },
  );
}
