import { IpgraftError } from '../compiler/errors.js';
import { dataTypeName, type FloatType } from '../compiler/onnx/data-type.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Pass } from '../compiler/pass.js';
import { addImageAttention } from './add-image-attention.js';
import { cloneAttentionBranch } from './clone-attention-branch.js';
import { dropImageTokens } from './drop-image-tokens.js';
import type { Graft } from './graft.js';
import { type ImageStream, streamsOf } from './image-stream.js';
import { insertImageInput } from './insert-image-input.js';
import { type Branch, insertImageKv } from './insert-image-kv.js';
import { insertImageMask } from './insert-image-mask.js';
import {
  type CrossAttention,
  type Located,
  type LocateOptions,
  locateCrossAttention,
} from './locate-cross-attention.js';
import { imageProjectionOf, type Projected, scaledProjectionOf, swappedStatesOf } from './names.js';
import { parseScale } from './parse-scale.js';
import { projectImageEmbeds } from './project-image-embeds.js';
import { projectImageTokens } from './project-image-tokens.js';
import { badScale, type Scale } from './scale.js';
import { type EmbedsScaling, scaleImageKv } from './scale-image-kv.js';
import type { ScaleOptions } from './scale-values.js';
import { splitEncoderHiddenStates } from './split-encoder-hidden-states.js';
import { METADATA_PREFIX, stampMetadata } from './stamp-metadata.js';
import { swapImageRows } from './swap-image-rows.js';
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
}

export interface PlanInput {
  readonly graph: Graph;
  readonly located: Located;
  readonly grafts: readonly Graft[];
  readonly options: GraftOptions;
  /** What changes weights with the adapters, where any does. */
  readonly lora?: Pass | null;
  /** Metadata beside the journal, keys beginning with `ipgraft.`. */
  readonly stamp: Readonly<Record<`ipgraft.${string}`, string>>;
}

/** Refuses a model that was patched before. @throws IpgraftError `MODEL_ALREADY_PATCHED` */
function refusePatched(graph: Graph): void {
  const key = [...graph.metadata.keys()].find((name) => name.startsWith(METADATA_PREFIX));
  if (key === undefined) return;
  throw new IpgraftError('MODEL_ALREADY_PATCHED', `sought a base model, found ${key} in its metadata`, {
    key,
  });
}

/** What is inserted is written as opset 11 and later have it. */
const OLDEST_OPSET = 11;

function refuseOldOpset({ opset }: Graph): void {
  if (opset >= OLDEST_OPSET) return;
  throw new IpgraftError('MODEL_OPSET_UNSUPPORTED', `sought opset ${OLDEST_OPSET} or later, found ${opset}`, {
    opset,
  });
}

/** Locates with the options of a graft. */
export function locate(graph: Graph, options: LocateOptions): Located {
  refusePatched(graph);
  refuseOldOpset(graph);
  return locateCrossAttention(graph, options);
}

/**
 * The passes that put adapters into a UNet, in their order. The pipeline reads: change the weights that change, bring the image tokens in, make keys and values of
 * them, attend to them, add the result, write down what was done.
 * @throws IpgraftError `OPTION_SCALE`
 */
export function graftPasses({ graph, located, grafts, options, lora, stamp }: PlanInput): Pass[] {
  const { textInput, textStates, textLinear, textTokens, attentions } = located;
  const scale = parseScale(options.scale ?? 'input', attentions, grafts.length);
  const masks = options.masks === true;
  const streams = streamsOf(grafts, masks, attentions[0]!.textWidth);
  const weights = options.weightType ? layerWeights(options.weightType, attentions) : ALIKE;
  const scaling = options.embedsScaling ?? 'v';
  if (scaling !== 'v') refusePacked(attentions, scaling);
  const branches = branchesOf(located, grafts, streams, { scale, weights, scaling });
  refuseIdle(grafts, branches, options.scale ?? 'input');
  const scales: ScaleOptions = {
    scale,
    adapters: grafts.length,
    attentions: attentions.length,
    factors: new Map([...weights].map(([id, { factor }]) => [id, factor])),
  };
  return [
    ...(lora ? [lora] : []),
    imageTokens(graph, located, grafts, streams, options.tokens ?? 'split'),
    ...(textLinear.length > 0 ? [projectImageTokens({ textInput, textLinear, streams })] : []),
    ...(branches.some((branch) => branch.states !== branch.stream.states)
      ? [swapImageRows(streams, typeOf(graph, textInput))]
      : []),
    insertImageKv(textStates, branches),
    ...(scaling === 'v' ? [] : [scaleImageKv({ branches, scaling, scales })]),
    cloneAttentionBranch({ textInput, textStates, textTokens, branches }),
    ...(masks
      ? [insertImageMask({ streams, attentions: [...new Set(branches.map((branch) => branch.attention))] })]
      : []),
    addImageAttention({ branches, scales: scaling === 'v' ? scales : null, masks }),
    stampMetadata({ ...stamp, [`${METADATA_PREFIX}input`]: textInput }),
  ];
}

/** The passes that make a ControlNet leave image tokens alone. */
export function dropPasses({ textInput }: Located, tokens: number, stamp: PlanInput['stamp']): Pass[] {
  return [
    dropImageTokens(textInput, tokens),
    stampMetadata({ ...stamp, [`${METADATA_PREFIX}input`]: textInput }),
  ];
}

/** The type of the text, and so of the image tokens beside it. */
function typeOf(graph: Graph, textInput: ValueName): FloatType {
  return dataTypeName(graph.inputs.get(textInput)!.dataType) as FloatType;
}

function imageTokens(
  graph: Graph,
  { textInput, inputWidth }: Located,
  grafts: readonly Graft[],
  streams: readonly ImageStream[],
  source: TokenSource,
): Pass {
  const dataType = typeOf(graph, textInput);
  if (source === 'split') {
    refuseOtherWidth(grafts, inputWidth);
    return splitEncoderHiddenStates({ textInput, inputWidth, streams });
  }
  if (source === 'input') return insertImageInput({ textInput, grafts, streams, dataType });
  const adapters = grafts.map(({ adapter, images }) => {
    if (adapter !== null) return { adapter, images };
    throw new IpgraftError('OPTION_INVALID', '--tokens embeds needs an adapter with an image projection', {
      tokens: source,
    });
  });
  return projectImageEmbeds({ textInput, adapters, streams, dataType });
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

/** How the image attention is scaled. */
interface Distribution {
  readonly scale: Scale;
  readonly weights: ReadonlyMap<number, LayerWeight>;
  readonly scaling: EmbedsScaling;
}

/** Without a weight type all layers are alike. */
const ALIKE: ReadonlyMap<number, LayerWeight> = new Map();

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

/** One branch per selected attention and stream; a factor that is baked in as 0 needs none. */
function branchesOf(
  { attentions }: Located,
  grafts: readonly Graft[],
  streams: readonly ImageStream[],
  { scale, weights, scaling }: Distribution,
): Branch[] {
  return attentions
    .filter((attention) => attention.selected)
    .flatMap((attention) =>
      streams
        .map((stream, i): Branch => {
          const graft = grafts[stream.adapter]!;
          const swapped = weights.get(attention.id)?.swapped === true;
          const nameOf = scaling === 'v' ? imageProjectionOf : scaledProjectionOf;
          const name = (which: Projected) => nameOf(attention.scope, which, stream.index);
          return {
            attention,
            stream,
            states: swapped ? swappedStatesOf(stream.index) : stream.states,
            isFirst: streams[i - 1]?.adapter !== stream.adapter,
            projected: { k: name('k'), v: name('v'), kv: name('kv') },
            weights: { k: graft.weight(attention, 'k'), v: graft.weight(attention, 'v') },
          };
        })
        .filter(() => weights.get(attention.id)?.factor !== 0)
        .filter(({ stream }) => scale.kind !== 'constant' || scale.of(stream.adapter, attention) !== 0),
    );
}

/** An adapter without a branch would bring tokens that nothing reads. */
function refuseIdle(grafts: readonly Graft[], branches: readonly Branch[], scale: string): void {
  grafts.forEach(({ name }, adapter) => {
    if (!branches.some((branch) => branch.stream.adapter === adapter))
      throw badScale(scale, `${name} would have no effect anywhere`);
  });
}
