import type { ModelInterface, ServedInput } from '../backend.js';
import { type ModelConfig, NO_CONFIG } from '../config/model-config.js';
import type { LoadedModel } from '../repository/loaded-model.js';
import type { TensorMetadata } from '../tensor.js';

/** An ensemble that nobody wrote. */
export interface OfferedPipeline {
  readonly name: string;
  readonly config: ModelConfig;
}

/** What is asked of a model that a pipeline may lead through. */
export type Offered = Pick<LoadedModel, 'name' | 'kind'> & { readonly model: ModelInterface };

/** A tensor, and the models that make it of the ensemble's inputs, the last one's first. */
interface Source {
  readonly model: Offered;
  readonly output: TensorMetadata;
}

/**
 * The ways from an image to what a UNet takes, where there is no doubt: for each image projection, and each model of keys and values, that exactly
 * one chain of models feeds, an ensemble `MODEL_pipeline` from `pixel_values` on.
 * @param models all that answer
 * @param note is told where several would do, and none is offered
 */
export function offerPipelines(models: readonly Offered[], note: (text: string) => void): OfferedPipeline[] {
  return models.flatMap((model) => {
    if (model.kind !== 'image_projection' && model.kind !== 'image_kv') return [];
    const chain = chainTo(model, models, note);
    return chain === undefined ? [] : [{ name: `${model.name}_pipeline`, config: configOf(chain) }];
  });
}

/** A step, and the output of the one before it that its first input reads; an encoder reads none. */
interface Link {
  readonly model: Offered;
  readonly reads: Source | undefined;
}

/** From the encoder to the model. */
function chainTo(
  model: Offered,
  models: readonly Offered[],
  note: (text: string) => void,
): readonly Link[] | undefined {
  if (model.kind === 'image_encoder') return [{ model, reads: undefined }];
  const input = embeddingInput(model);
  const sources = models.flatMap((each) => sourceFor(input, each));
  if (sources.length > 1) {
    const names = sources.map((source) => `“${source.model.name}”`).join(' and ');
    note(`no pipeline to “${model.name}” is offered: ${names} give what it reads`);
  }
  const [source] = sources;
  if (source === undefined || sources.length > 1) return undefined;
  const before = chainTo(source.model, models, note);
  return before && [...before, { model, reads: source }];
}

/** `image_embeds` or `ip_hidden_states`: what was made of the image so far comes first. */
function embeddingInput({ model }: Offered): ServedInput {
  return model.inputs[0]!;
}

function sourceFor(input: ServedInput, model: Offered): Source[] {
  const { outputs } = model.model;
  if (input.name === 'ip_hidden_states')
    return outputs
      .filter((output) => model.kind === 'image_projection' && isSame(input, output))
      .map((output) => ({ model, output }));
  if (model.kind !== 'image_encoder') return [];
  const output =
    input.shape.length === 2 ? outputs.find(({ name }) => name === 'image_embeds') : lastButOne(outputs);
  return output !== undefined && isSame(input, output) ? [{ model, output }] : [];
}

/**
 * CLIP's last but one hidden states, among all of them as transformers' exports number them, or alone. The last ones, which have the same shape,
 * would give another image without a word.
 */
function lastButOne(outputs: readonly TensorMetadata[]): TensorMetadata | undefined {
  const alone = outputs.filter(({ name }) => /^(penultimate_)?hidden_states$/.test(name));
  if (alone.length === 1) return alone[0];
  const count = outputs.filter(({ name }) => /^hidden_states\.\d+$/.test(name)).length;
  const all = Array.from({ length: count }, (_, i) =>
    outputs.find(({ name }) => name === `hidden_states.${i}`),
  );
  return all.includes(undefined) ? undefined : all.at(-2);
}

/** Whether a width that is said is the same; numbers of images and of features may be free. */
function isSame(input: TensorMetadata, output: TensorMetadata): boolean {
  return (
    input.datatype === output.datatype &&
    input.shape.length === output.shape.length &&
    input.shape.at(-1) === output.shape.at(-1) &&
    output.shape.at(-1) !== -1 &&
    input.shape.every((size, axis) => size === output.shape[axis] || size === -1 || output.shape[axis] === -1)
  );
}

function configOf(chain: readonly Link[]): ModelConfig {
  const inner = ({ model, output }: Source) => `${model.name}.${output.name}`;
  const last = chain.at(-1)!.model;
  const [result] = last.model.outputs;
  const written = ({ name, datatype, shape }: TensorMetadata) => ({
    name,
    datatype,
    dims: shape,
    optional: false,
  });
  const steps = chain.map(({ model, reads }, index) => {
    const next = chain[index + 1]?.reads;
    const own = model.model.inputs.filter(({ optional }) => !optional);
    return {
      model: model.name,
      version: undefined,
      inputs: new Map(
        own.map((input, i) => [input.name, i === 0 && reads !== undefined ? inner(reads) : input.name]),
      ),
      outputs: new Map(
        next === undefined ? [[result!.name, result!.name]] : [[next.output.name, inner(next)]],
      ),
      free: own.slice(reads === undefined ? 0 : 1),
    };
  });
  return {
    ...NO_CONFIG,
    isEnsemble: true,
    inputs: steps.flatMap(({ free }) => free.map(written)),
    outputs: [written(result!)],
    steps: steps.map(({ free: _, ...step }) => step),
  };
}
