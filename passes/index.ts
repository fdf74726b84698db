import { IpgraftError } from '../compiler/errors.js';
import { dataTypeName, type FloatType } from '../compiler/onnx/data-type.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Pass } from '../compiler/pass.js';
import { addImageAttention } from './add-image-attention.js';
import { cloneAttentionBranch } from './clone-attention-branch.js';
import { dropImageTokens } from './drop-image-tokens.js';
import type { Graft } from './graft.js';
import { insertImageInput } from './insert-image-input.js';
import { type Branch, insertImageKv } from './insert-image-kv.js';
import { type Located, type LocateOptions, locateCrossAttention } from './locate-cross-attention.js';
import { parseScale } from './parse-scale.js';
import { projectImageEmbeds } from './project-image-embeds.js';
import { badScale, type Scale } from './scale.js';
import { splitEncoderHiddenStates } from './split-encoder-hidden-states.js';
import { METADATA_PREFIX, stampMetadata } from './stamp-metadata.js';

/** Where image tokens come from: cut from the text input, an input of their own, or projected inside from embeddings. */
export type TokenSource = 'split' | 'input' | 'embeds';

export interface GraftOptions extends LocateOptions {
  /** Default `split`. */
  readonly tokens?: TokenSource;
  /** `--scale` as text; default `input`. */
  readonly scale?: string;
}

export interface PlanInput {
  readonly graph: Graph;
  readonly located: Located;
  readonly grafts: readonly Graft[];
  readonly options: GraftOptions;
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
 * The passes that put adapters into a UNet, in their order. The pipeline reads: bring the image tokens in, make keys and values of
 * them, attend to them, add the result, write down what was done.
 * @throws IpgraftError `OPTION_SCALE`
 */
export function graftPasses({ graph, located, grafts, options, stamp }: PlanInput): Pass[] {
  const { textInput, textTokens, attentions } = located;
  const scale = parseScale(options.scale ?? 'input', attentions, grafts.length);
  const branches = branchesOf(located, grafts, scale);
  refuseIdle(grafts, branches, options.scale ?? 'input');
  return [
    imageTokens(graph, located, grafts, options.tokens ?? 'split'),
    insertImageKv(textInput, branches),
    cloneAttentionBranch({ textInput, textTokens, tokens: grafts.map((graft) => graft.tokens), branches }),
    addImageAttention({ branches, adapters: grafts.length, attentions: attentions.length, scale }),
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

function imageTokens(
  graph: Graph,
  { textInput, attentions }: Located,
  grafts: readonly Graft[],
  source: TokenSource,
): Pass {
  const { textWidth } = attentions[0]!;
  const tokens = grafts.map((graft) => graft.tokens);
  const dataType = dataTypeName(graph.inputs.get(textInput)!.dataType) as FloatType;
  if (source === 'split') return splitEncoderHiddenStates({ textInput, textWidth, tokens });
  if (source === 'input') return insertImageInput({ textInput, textWidth, tokens, dataType });
  const adapters = grafts.map(({ adapter }) => {
    if (adapter !== null) return adapter;
    throw new IpgraftError('OPTION_INVALID', '--tokens embeds needs an adapter with an image projection', {
      tokens: source,
    });
  });
  return projectImageEmbeds({ textInput, adapters, dataType });
}

/** One branch per selected attention and adapter; a factor that is baked in as 0 needs none. */
function branchesOf({ attentions }: Located, grafts: readonly Graft[], scale: Scale): Branch[] {
  return attentions
    .filter((attention) => attention.selected)
    .flatMap((attention) =>
      grafts
        .map(
          (graft, adapter): Branch => ({
            attention,
            adapter,
            weights: { k: graft.weight(attention, 'k'), v: graft.weight(attention, 'v') },
          }),
        )
        .filter((branch) => scale.kind !== 'constant' || scale.of(branch.adapter, attention) !== 0),
    );
}

/** An adapter without a branch would bring tokens that nothing reads. */
function refuseIdle(grafts: readonly Graft[], branches: readonly Branch[], scale: string): void {
  grafts.forEach(({ name }, adapter) => {
    if (!branches.some((branch) => branch.adapter === adapter))
      throw badScale(scale, `${name} would have no effect anywhere`);
  });
}
