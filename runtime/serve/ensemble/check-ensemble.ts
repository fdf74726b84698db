import type { ModelInterface } from '../backend.js';
import { configFault } from '../config/config-fault.js';
import type { ConfigTensor, EnsembleStep, ModelConfig } from '../config/model-config.js';
import type { TensorMetadata } from '../tensor.js';

/** A model of an ensemble as the check needs it. */
export interface Member {
  readonly model: ModelInterface;
  readonly config: Pick<ModelConfig, 'maxBatchSize'>;
}

/** What an ensemble takes and gives: its configuration says it. */
export function ensembleInterface({ inputs, outputs, maxBatchSize }: ModelConfig): ModelInterface {
  const whole = ({ name, datatype, dims }: ConfigTensor) => ({
    name,
    datatype,
    shape: maxBatchSize > 0 ? [-1, ...dims] : dims,
  });
  return {
    inputs: inputs.map((input) => ({ ...whole(input), optional: input.optional })),
    outputs: outputs.map(whole),
  };
}

/** Which step makes each tensor of an ensemble that is not one of its inputs. */
export function producersOf({ steps }: ModelConfig): Map<string, EnsembleStep> {
  return new Map(
    steps.flatMap((step) => [...step.outputs.values()].map((tensor) => [tensor, step] as const)),
  );
}

/**
 * Holds an ensemble against its models, as Triton does: each tensor made once and not of itself, all that a model needs mapped, datatypes the same,
 * shapes the same but where one of them is free.
 * @param memberOf the model of a step
 * @throws IpgraftError `SERVER_CONFIG`
 */
export function checkEnsemble(
  name: string,
  config: ModelConfig,
  memberOf: (step: EnsembleStep) => Member,
): void {
  const { inputs, outputs } = ensembleInterface(config);
  if (inputs.length === 0 || outputs.length === 0)
    throw configFault(
      name,
      `an ensemble says what it takes and gives: sought ${inputs.length === 0 ? 'input' : 'output'}`,
    );
  const tensors = new Map<string, TensorMetadata>(inputs.map((input) => [input.name, input]));
  for (const step of config.steps) {
    const { model, config: own } = memberOf(step);
    if (own.maxBatchSize > 0 && own.maxBatchSize < config.maxBatchSize)
      throw configFault(
        name,
        `max_batch_size: sought ${own.maxBatchSize} at most, that of “${step.model}”, found ${config.maxBatchSize}`,
      );
    for (const [output, tensor] of step.outputs) {
      if (tensors.has(tensor)) throw configFault(name, `tensor “${tensor}” is made twice`);
      tensors.set(tensor, tensorOf(model.outputs, output, 'output', step, name));
    }
  }
  for (const step of config.steps) checkInputs(name, step, memberOf(step).model, tensors);
  for (const output of outputs) {
    const made = tensors.get(output.name);
    if (made === undefined || inputs.some((input) => input.name === output.name))
      throw configFault(name, `output “${output.name}”: no step makes it`);
    agree(name, output, made, `output “${output.name}”`);
  }
  refuseCycles(name, config);
}

function checkInputs(
  name: string,
  step: EnsembleStep,
  { inputs }: ModelInterface,
  tensors: ReadonlyMap<string, TensorMetadata>,
): void {
  const missing = inputs.find((input) => !input.optional && !step.inputs.has(input.name));
  if (missing !== undefined)
    throw configFault(name, `step “${step.model}”: its input “${missing.name}” is not mapped`);
  for (const [input, tensor] of step.inputs) {
    const found = tensors.get(tensor);
    if (found === undefined)
      throw configFault(
        name,
        `step “${step.model}”: tensor “${tensor}” is neither an input nor made by a step`,
      );
    const sought = tensorOf(inputs, input, 'input', step, name);
    if ('anyShape' in sought && sought.anyShape === true)
      agree(name, { ...sought, shape: found.shape }, found, '');
    else agree(name, sought, found, `tensor “${tensor}” for input “${input}” of “${step.model}”`);
  }
}

function tensorOf<T extends TensorMetadata>(
  tensors: readonly T[],
  wanted: string,
  kind: 'input' | 'output',
  { model }: EnsembleStep,
  name: string,
): T {
  const found = tensors.find((each) => each.name === wanted);
  if (found !== undefined) return found;
  throw configFault(
    name,
    `step “${model}”: it has no ${kind} “${wanted}”: sought one of ${tensors.map((each) => each.name).join(', ')}`,
  );
}

function agree(name: string, sought: TensorMetadata, found: TensorMetadata, what: string): void {
  const isScalar = (shape: readonly number[]) => shape.length === 0 || (shape.length === 1 && shape[0] === 1);
  const fits =
    (isScalar(sought.shape) && isScalar(found.shape)) ||
    (sought.shape.length === found.shape.length &&
      sought.shape.every((size, axis) => {
        const other = found.shape[axis]!;
        return size === other || size === -1 || other === -1;
      }));
  if (fits && sought.datatype === found.datatype) return;
  const typeOf = ({ datatype, shape }: TensorMetadata) => `${datatype} [${shape.join(', ')}]`;
  throw configFault(name, `${what}: sought ${typeOf(sought)}, found ${typeOf(found)}`);
}

function refuseCycles(name: string, config: ModelConfig): void {
  const producers = producersOf(config);
  const done = new Set<EnsembleStep>();
  const visit = (step: EnsembleStep, path: readonly EnsembleStep[]): void => {
    if (path.includes(step))
      throw configFault(name, `step “${step.model}” reads what is made of its own outputs`);
    if (done.has(step)) return;
    for (const tensor of step.inputs.values()) {
      const producer = producers.get(tensor);
      if (producer !== undefined) visit(producer, [...path, step]);
    }
    done.add(step);
  };
  for (const step of config.steps) visit(step, []);
}
