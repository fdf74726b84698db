import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { IpgraftError } from '../../../compiler/errors.js';
import { openModel } from '../../open.js';
import type { ModelInterface } from '../../serve/backend.js';
import { configFault } from '../../serve/config/config-fault.js';
import { configuredInterface } from '../../serve/config/configured-interface.js';
import type { ModelConfig } from '../../serve/config/model-config.js';
import { writtenConfig } from '../../serve/config/parse-config.js';
import { readConfigText } from '../../serve/config/read-config.js';
import type { WrittenConfig, WrittenTensor } from '../../serve/config/written-config.js';
import { findModel } from '../../serve/repository/model-files.js';
import { modelInterface } from '../model-interface.js';

/** A model of a repository that was found right. */
export interface LintedModel {
  readonly config: ModelConfig;
  /** With the batch, where it has one, as −1 in front. */
  readonly model: ModelInterface;
}

/**
 * Holds the folder of one model, REPO/MODEL, against the rules by which Triton's backend for ONNX loads it: what this server checks too (names,
 * datatypes, dims, the batch), and what Triton alone is strict about.
 *
 * Source: `ValidateInputs`, `ValidateOutputs` and `AutoCompleteMaxBatch` in onnxruntime_backend's src/onnxruntime.cc; `ValidateModelConfig` and
 * `ValidateIOShape` in triton-inference-server/core's src/model_config_utils.cc.
 * @param model its name, where its folder is called otherwise as yet
 * @throws IpgraftError `SERVER_CONFIG` that says what contradicts what, `MODEL_*` for a file that is not complete
 */
export async function lintModel(repository: string, folder: string, model: string): Promise<LintedModel> {
  const text = await readConfigText(join(repository, folder), model);
  if (text === undefined) throw configFault(model, 'sought one, found none');
  const written = writtenConfig(text, model);
  const found = await findModel(repository, model, folder);
  if (found === undefined) throw configFault(model, 'sought VERSION/model.onnx, found no such file');
  const opened = await openModel(found.path);
  await opened.close();
  const declared = modelInterface(opened);
  const configured = configuredInterface(declared, found.config, model);
  refuseIncomplete(written, declared, model);
  for (const tensor of [...(written.input ?? []), ...(written.output ?? [])])
    refuseReshape(tensor, written.max_batch_size ?? 0, model);
  await refuseMissingLabels(written, join(repository, folder), model);
  refuseBatching(written, model);
  refuseWarmup(written, declared, model);
  return { config: found.config, model: configured };
}

/** What Triton would guess, and guesses otherwise from release to release, or refuses under --disable-auto-complete-config. */
function refuseIncomplete(written: WrittenConfig, { inputs, outputs }: ModelInterface, model: string): void {
  if (written.backend === undefined && written.platform === undefined)
    throw configFault(model, 'sought a backend or a platform, found neither');
  if (written.max_batch_size === undefined)
    throw configFault(model, 'max_batch_size: sought one, found none');
  for (const [kind, sought, listed] of [
    ['input', inputs.filter(({ optional }) => !optional), written.input],
    ['output', outputs, written.output],
  ] as const) {
    const missing = sought.find(({ name }) => !listed?.some((each) => each.name === name));
    if (missing !== undefined)
      throw configFault(model, `${kind}: sought every ${kind} of the model, “${missing.name}” is missing`);
  }
  const optional = written.input?.find((each) => each.optional === true);
  if (optional !== undefined && written.max_batch_size > 0)
    throw configFault(model, `input “${optional.name}”: optional goes with max_batch_size 0 alone`);
  if (!written.instance_group?.some(({ count = 0 }) => count > 0))
    throw configFault(model, 'instance_group: sought a count, found none: a CPU would get two of each');
}

/** Of a batch a reshape may leave nothing; without one Triton takes no empty shape, and the backend makes a scalar of [1] by itself. */
function refuseReshape({ name, dims = [], reshape }: WrittenTensor, maxBatch: number, model: string): void {
  if (reshape === undefined) return;
  const { shape = [] } = reshape;
  if (shape.length === 0 && maxBatch === 0)
    throw configFault(model, `“${name}”: an empty reshape goes with max_batch_size above 0 alone`);
  const count = (sizes: readonly number[]) => sizes.reduce((product, size) => product * size, 1);
  if (count(shape) !== count(dims))
    throw configFault(model, `“${name}”: reshape from [${dims.join(', ')}] to [${shape.join(', ')}]`);
}

async function refuseMissingLabels(
  { output = [] }: WrittenConfig,
  folder: string,
  model: string,
): Promise<void> {
  for (const { name, label_filename: labels } of output) {
    if (labels === undefined) continue;
    const isFile = await stat(join(folder, labels)).then(
      (found) => found.isFile(),
      () => false,
    );
    if (!isFile)
      throw configFault(model, `output “${name}”: label_filename: sought the file ${labels}, found none`);
  }
}

function refuseBatching(
  { dynamic_batching: batching, max_batch_size: most = 0 }: WrittenConfig,
  model: string,
): void {
  if (batching === undefined) return;
  if (most === 0) throw configFault(model, 'dynamic_batching: sought max_batch_size above 0, found 0');
  const wrong = batching.preferred_batch_size?.find((size) => size < 1 || size > most);
  if (wrong !== undefined)
    throw configFault(model, `dynamic_batching: preferred_batch_size: sought 1 to ${most}, found ${wrong}`);
}

/** A sample must be a request that the model takes. */
function refuseWarmup(written: WrittenConfig, { inputs }: ModelInterface, model: string): void {
  for (const { name: sample, inputs: given = {} } of written.model_warmup ?? []) {
    const missing = inputs.find(({ name, optional }) => !optional && !(name in given));
    if (missing !== undefined)
      throw configFault(model, `model_warmup “${sample}”: input “${missing.name}” is missing`);
    for (const [name, { data_type: type, dims = [] }] of Object.entries(given)) {
      const listed = written.input?.find((each) => each.name === name);
      const fits =
        listed?.data_type === type &&
        listed?.dims?.length === dims.length &&
        listed.dims.every((size, axis) => size === -1 || size === dims[axis]);
      if (!fits)
        throw configFault(
          model,
          `model_warmup “${sample}”: input “${name}”: sought ${listed?.data_type} [${listed?.dims?.join(', ')}], found ${type} [${dims.join(', ')}]`,
        );
    }
  }
}

/** A lint that failed on what was just written: ipgraft's own fault, which must not pass for the user's. */
export function ownFault(error: unknown): unknown {
  if (!(error instanceof IpgraftError) || error.code !== 'SERVER_CONFIG') return error;
  return new IpgraftError('PACKAGE_BROKEN', error.message, error.facts, { cause: error });
}
