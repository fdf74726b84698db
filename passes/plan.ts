import { IpgraftError } from '../compiler/errors.js';
import { dataTypeName, type FloatType } from '../compiler/onnx/data-type.js';
import type { Graph } from '../compiler/onnx/graph.js';
import { type Branch, branchesOf } from './branch.js';
import type { EmbedsScaling } from './embeds-scaling.js';
import type { Graft } from './graft.js';
import { type ImageStream, streamsOf } from './image-stream.js';
import type { CrossAttention, Located, LocateOptions } from './locate-cross-attention.js';
import { parseScale } from './parse-scale.js';
import { badScale } from './scale.js';
import type { ScaleOptions } from './scale-values.js';
import { type LayerWeight, layerWeights, type WeightTypeOptions } from './weight-types.js';

/** Where image tokens come from: cut from the text input, an input of their own, or projected inside from embeddings. */
export type TokenSource = 'split' | 'input' | 'embeds';

export interface GraftOptions extends LocateOptions {
  /** Default `split`. */
  readonly tokens?: TokenSource;
  /** `--scale` as text; default `input`. */
  readonly scale?: string;
  /** How many images each adapter reads, in the order of the adapters; one number goes for all. Default 1. */
  readonly images?: readonly number[];
  /** How the scale is distributed over the layers. */
  readonly weightType?: WeightTypeOptions;
  /** What the scale is applied to; default `v`, the result of the image attention. */
  readonly embedsScaling?: EmbedsScaling;
  /** Whether `ip_mask` says where each image counts. */
  readonly masks?: boolean;
  /**
   * Whether image keys and values are computed by models of their own, once per image, and the UNet takes them as inputs. `tokens` then says
   * what these models read; `split` is taken as `input`.
   */
  readonly hoist?: boolean;
}

/** What to graft where, decided and checked. */
export interface Plan {
  readonly located: Located;
  readonly grafts: readonly Graft[];
  readonly tokens: TokenSource;
  readonly streams: readonly ImageStream[];
  readonly branches: readonly Branch[];
  readonly scales: ScaleOptions;
  readonly scaling: EmbedsScaling;
  readonly masks: boolean;
  readonly hoist: boolean;
  /** The type of the text, and so of the image tokens beside it. */
  readonly dataType: FloatType;
}

/** Without a weight type all layers are alike. */
const ALIKE: ReadonlyMap<number, LayerWeight> = new Map();

/**
 * Decides which streams of image tokens there are, and which branches they have at which cross-attentions.
 * @throws IpgraftError `OPTION_SCALE`, `OPTION_WEIGHT_TYPE`, `OPTION_INVALID`
 */
export function planGraft(
  graph: Graph,
  located: Located,
  grafts: readonly Graft[],
  options: GraftOptions,
): Plan {
  const { attentions, textInput } = located;
  const { masks = false, hoist = false, embedsScaling: scaling = 'v', scale: scaleText = 'input' } = options;
  const tokens = hoist && options.tokens !== 'embeds' ? 'input' : (options.tokens ?? 'split');
  if (tokens === 'split') refuseOtherWidth(grafts, located.inputWidth);
  if (scaling !== 'v') refusePacked(attentions, scaling);
  const scale = parseScale(scaleText, attentions, grafts.length);
  const weights = options.weightType ? layerWeights(options.weightType, attentions) : ALIKE;
  const streams = streamsOf(grafts, masks, attentions[0]!.textWidth);
  const branches = branchesOf(attentions, grafts, streams, { scale, weights, scaling });
  refuseIdle(grafts, branches, scaleText);
  if (hoist) refuseHoist(grafts, branches);
  return {
    located,
    grafts,
    tokens,
    streams,
    branches,
    scales: {
      scale,
      adapters: grafts.length,
      attentions: attentions.length,
      factors: new Map([...weights].map(([id, { factor }]) => [id, factor])),
    },
    scaling,
    masks,
    hoist,
    dataType: dataTypeName(graph.inputs.get(textInput)!.dataType) as FloatType,
  };
}

/** Tokens of another width than the text's cannot stand behind it. */
function refuseOtherWidth(grafts: readonly Graft[], inputWidth: number): void {
  const other = grafts.find(({ tokenWidth }) => tokenWidth !== inputWidth);
  if (other === undefined) return;
  throw new IpgraftError(
    'OPTION_INVALID',
    `--tokens split: the tokens of ${other.name} are ${other.tokenWidth} wide, the text is ${inputWidth}`,
    { adapter: other.name, found: other.tokenWidth, sought: inputWidth },
    {
      hint: 'Pass --tokens input or --tokens embeds: these tokens go around the linear layer that the text passes.',
    },
  );
}

/** Keys and values in one value have one scale. */
function refusePacked(attentions: readonly CrossAttention[], scaling: EmbedsScaling): void {
  const packed = attentions.find(({ packedHeads }) => packedHeads !== null);
  if (packed === undefined) return;
  throw new IpgraftError(
    'OPTION_INVALID',
    `--embeds-scaling ${scaling}: sought keys and values of their own, found packed ones at ${packed.scope}`,
    { scope: packed.scope },
  );
}

/** An adapter without a branch would bring tokens that nothing reads. */
function refuseIdle(grafts: readonly Graft[], branches: readonly Branch[], scale: string): void {
  grafts.forEach(({ name }, adapter) => {
    if (!branches.some((branch) => branch.stream.adapter === adapter))
      throw badScale(scale, `${name} would have no effect anywhere`);
  });
}

/** What a model of its own cannot know of the UNet: its other weights, and which rows are negative. */
function refuseHoist(grafts: readonly Graft[], branches: readonly Branch[]): void {
  const refuse = (message: string) => new IpgraftError('OPTION_INVALID', `--hoist: ${message}`);
  const text = grafts.find(({ adapter }) => adapter === null);
  if (text !== undefined)
    throw refuse('sought an adapter; keys and values of copied weights stay in the UNet');
  const wide = branches.find(({ stream, attention }) => stream.tokenWidth !== attention.textWidth);
  if (wide !== undefined)
    throw refuse(`the tokens of ${grafts[wide.stream.adapter]!.name} pass a linear layer of the UNet`);
  if (branches.some(({ states, stream }) => states !== stream.states))
    throw refuse('the precise weight types swap the rows of a batch, and an image has no rows yet');
}
