import { IpgraftError } from '../../compiler/errors.js';
import { printable } from '../../compiler/printable.js';
import type { OpenedModel } from '../open.js';
import { type ClientModel, readClientModel } from './client-model.js';
import { TRANSPORTS, type Transport } from './transport.js';

/** How to make a typed client. */
export interface TypedClientOptions {
  /** Of the class, as `Unet`; its types are called after it: `UnetInputs`, `UnetOutputs`, `UnetError`. */
  readonly name: string;
  /** Default: both. */
  readonly only?: Transport;
}

/** A typed client, and what it is for. */
export interface TypedClient extends Pick<ClientModel, 'inputs' | 'outputs'> {
  /** The module: TypeScript. */
  readonly text: string;
}

/**
 * A module of TypeScript for one model: its inputs and outputs as types, and a class that runs it in a session of onnxruntime-node or on
 * a server. It imports nothing at run time. The same model and options give the same text.
 * @throws IpgraftError `MODEL_INTERFACE`, `OPTION_INVALID` for a name that the class cannot have
 */
export async function typedClient(
  model: OpenedModel,
  { name, only }: TypedClientOptions,
): Promise<TypedClient> {
  if (!/^[A-Z][A-Za-z0-9]*$/.test(name))
    throw new IpgraftError(
      'OPTION_INVALID',
      `--name: sought letters and digits, the first a capital, found “${printable(name)}”`,
      { name },
    );
  const found = readClientModel(model);
  if (only !== 'http') refuseBfloat16(found);
  // ts-morph brings a compiler with it: only whoever writes TypeScript waits for that.
  const { writeModule } = await import('./write-module.js');
  const { inputs, outputs } = found;
  return {
    text: writeModule(found, name, only === undefined ? TRANSPORTS : [only]),
    inputs,
    outputs,
  };
}

function refuseBfloat16({ inputs, outputs }: ClientModel): void {
  const value = [...inputs, ...outputs].find(({ type }) => type === 'bfloat16');
  if (value === undefined) return;
  throw new IpgraftError(
    'MODEL_INTERFACE',
    `“${printable(value.name)}” is bfloat16, which onnxruntime-node does not take`,
    { name: value.name },
  );
}
