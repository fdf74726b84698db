import type { TensorMetadata } from '../tensor.js';
import { quoted, refusal } from './refuse.js';
import type { Parameter } from './request-schema.js';

/** Parameters of a request or of a part of it, by name. */
export type Parameters = ReadonlyMap<string, Parameter>;

/** An input or output as a request names it. */
export interface NamedPart {
  readonly name: string;
  readonly parameters: Parameters;
}

/**
 * Milliseconds that the client waits; `undefined` where its parameters do not say.
 * @throws IpgraftError `SERVER_REQUEST` for other times than whole microseconds, and for parameters that are reserved or not served
 */
export function timeoutOf(parameters: Parameters): number | undefined {
  for (const [name, value] of parameters) {
    if (name.startsWith('triton_')) throw refusal(`parameter ${quoted(name)} is reserved`);
    // Answered without its state, a sequence would be wrong and look right.
    if (name.startsWith('sequence_') && value)
      throw refusal('sequences are not served: send requests without sequence_id');
  }
  const value = parameters.get('timeout');
  // 0 is none.
  if (value === undefined || value === 0) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value / 1000;
  throw refusal(`parameter “timeout”: sought microseconds, found ${quoted(String(value))}`);
}

/** Refuses inputs that come twice, or lie in shared memory. @throws IpgraftError `SERVER_REQUEST` */
export function checkInputs(inputs: readonly NamedPart[]): void {
  const seen = new Set<string>();
  for (const { name, parameters } of inputs) {
    if (seen.has(name)) throw refusal(`input ${quoted(name)} is there twice`);
    seen.add(name);
    refuseSharedMemory(`input ${quoted(name)}`, parameters);
  }
}

/**
 * The outputs that a request asks for, in its order; all of the model's where it names none.
 * @throws IpgraftError `SERVER_REQUEST` for one that the model does not have, twice the same, and what is not served
 */
export function askedOutputs(
  asked: readonly NamedPart[],
  known: readonly TensorMetadata[],
): { readonly output: TensorMetadata; readonly parameters: Parameters }[] {
  if (asked.length === 0) return known.map((output) => ({ output, parameters: new Map() }));
  const seen = new Set<string>();
  return asked.map(({ name, parameters }) => {
    if (seen.has(name)) throw refusal(`output ${quoted(name)} is asked for twice`);
    seen.add(name);
    const output = known.find((each) => each.name === name);
    if (output === undefined)
      throw refusal(
        `output ${quoted(name)}: the model has none of this name: sought one of ${known.map((each) => each.name).join(', ')}`,
      );
    refuseSharedMemory(`output ${quoted(name)}`, parameters);
    if (parameters.get('classification'))
      throw refusal(`output ${quoted(name)}: classification is not served`);
    return { output, parameters };
  });
}

function refuseSharedMemory(what: string, parameters: Parameters): void {
  if (parameters.has('shared_memory_region'))
    throw refusal(`${what}: shared memory is not served: send the tensor itself`);
}
