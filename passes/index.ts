import { IpgraftError } from '../compiler/errors.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Pass } from '../compiler/pass.js';
import { addImageAttention } from './add-image-attention.js';
import { batchImageInputs } from './batch-image-inputs.js';
import { batchTimestep } from './batch-timestep.js';
import { cloneAttentionBranch } from './clone-attention-branch.js';
import { dropImageTokens } from './drop-image-tokens.js';
import { insertImageInput } from './insert-image-input.js';
import { insertImageKv } from './insert-image-kv.js';
import { insertImageMask } from './insert-image-mask.js';
import { insertKvInput } from './insert-kv-input.js';
import { type Located, type LocateOptions, locateCrossAttention } from './locate-cross-attention.js';
import type { Plan } from './plan.js';
import { projectImageEmbeds } from './project-image-embeds.js';
import { projectImageTokens } from './project-image-tokens.js';
import { scaleImageKv } from './scale-image-kv.js';
import { splitEncoderHiddenStates } from './split-encoder-hidden-states.js';
import { stampBatched } from './stamp-batched.js';
import { METADATA_PREFIX, type Stamp, stampMetadata } from './stamp-metadata.js';
import { swapImageRows } from './swap-image-rows.js';

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
 * The passes that put adapters into a UNet, in their order. The pipeline reads: change the weights that change, bring image keys and values
 * in, attend to them, add the result, write down what was done. `stamp` is metadata beside the journal.
 */
export function graftPasses(plan: Plan, stamp: Stamp, lora: Pass | null = null): Pass[] {
  const { located, streams, branches, scales, scaling, masks } = plan;
  const { textInput, textStates, textTokens } = located;
  const attentions = [...new Set(branches.map(({ attention }) => attention))];
  return [
    ...(lora === null ? [] : [lora]),
    ...(plan.hoist ? [insertKvInput(plan)] : keysAndValues(plan)),
    ...(scaling === 'v' ? [] : [scaleImageKv({ branches, scaling, scales })]),
    cloneAttentionBranch({ textInput, textStates, textTokens, branches }),
    ...(masks ? [insertImageMask({ streams, attentions })] : []),
    addImageAttention({ branches, scales: scaling === 'v' ? scales : null, masks }),
    stampMetadata({ ...stamp, [`${METADATA_PREFIX}input`]: textInput }),
  ];
}

/** The image tokens, and what to_k_ip and to_v_ip make of them inside the UNet. */
function keysAndValues(plan: Plan): Pass[] {
  const { located, streams, branches, dataType } = plan;
  const { textInput, textStates, textLinear } = located;
  const swapped = streams.filter((stream) =>
    branches.some((branch) => branch.stream === stream && branch.states !== stream.states),
  );
  return [
    imageTokens(plan),
    ...(textLinear.length > 0 ? [projectImageTokens({ textInput, textLinear, streams })] : []),
    ...(swapped.length > 0 ? [swapImageRows(swapped, dataType)] : []),
    insertImageKv(textStates, branches),
  ];
}

function imageTokens({ located, grafts, streams, tokens, dataType }: Plan): Pass {
  const { textInput, inputWidth } = located;
  if (tokens === 'split') return splitEncoderHiddenStates({ textInput, inputWidth, streams });
  if (tokens === 'input') return insertImageInput({ textInput, grafts, streams, dataType });
  const adapters = grafts.map(({ adapter, images }) => {
    if (adapter !== null) return { adapter, images };
    throw new IpgraftError('OPTION_INVALID', '--tokens embeds needs an adapter with an image projection', {
      tokens,
    });
  });
  return projectImageEmbeds({ textInput, adapters, streams, dataType });
}

/** The passes that make a ControlNet leave image tokens alone. */
export function dropPasses({ textInput }: Located, tokens: number, stamp: Stamp): Pass[] {
  return [
    dropImageTokens(textInput, tokens),
    stampMetadata({ ...stamp, [`${METADATA_PREFIX}input`]: textInput }),
  ];
}

/** The passes that give each input of a model, patched or not, a batch. `stamp`: of a model that has none. */
export function batchPasses(stamp: Stamp): Pass[] {
  return [batchImageInputs(), batchTimestep(), stampBatched(stamp)];
}
