import type { InferenceSession } from 'onnxruntime-node';
import { IpgraftError } from '../../compiler/errors.js';

export type Runtime = typeof import('onnxruntime-node');

/** ONNX Runtime's execution providers that can be asked for. What one cannot run falls back to the CPU. */
export const PROVIDERS = ['cpu', 'webgpu', 'cuda'] as const;
export type Provider = (typeof PROVIDERS)[number];

/** A model in memory, and the folder in which the data lies that it names. */
export interface ModelBytes {
  readonly bytes: Uint8Array;
  readonly folder: string;
}

/**
 * onnxruntime-node, an optional peer: loaded when a model is to be run.
 * @throws IpgraftError `RUNTIME_MISSING`
 */
export async function loadRuntime(): Promise<Runtime> {
  try {
    const { default: ort } = (await import('onnxruntime-node')) as unknown as { default: Runtime };
    return ort;
  } catch (cause) {
    throw new IpgraftError('RUNTIME_MISSING', 'onnxruntime-node cannot be loaded', {}, { cause });
  }
}

/** What to do where a model found no memory, or Linux ended the process that loaded it. */
export const SHORT_OF_MEMORY =
  'Memory is short: give this machine or container more, or load fewer or smaller models. Linux ends processes (SIGKILL) where there is none left.';

/** Does some work of ONNX Runtime, whose errors have nothing but a message, and gives them a code. */
export async function failingAs<T>(
  code: 'RUNTIME_LOAD' | 'RUNTIME_RUN',
  work: () => Promise<T>,
  hint?: string,
): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const { message } = cause as Error;
    const better = /bad_alloc|Failed to allocate memory/.test(message) ? SHORT_OF_MEMORY : hint;
    throw new IpgraftError(code, message, {}, better === undefined ? { cause } : { cause, hint: better });
  }
}

/** Makes a session of a model, a file or one in memory. @throws IpgraftError `RUNTIME_LOAD` */
export function createSession(
  ort: Runtime,
  model: string | ModelBytes,
  provider: Provider,
  more: InferenceSession.SessionOptions = {},
): Promise<InferenceSession> {
  // Only what ends in an error is worth a line: warnings about inputs with defaults are not.
  const options = { logSeverityLevel: 3, executionProviders: [provider], ...more } as const;
  if (typeof model === 'string')
    return failingAs('RUNTIME_LOAD', () => ort.InferenceSession.create(model, options));
  // A model without a path does not know where its data files are.
  const session = {
    ...(more.extra?.session as object | undefined),
    model_external_initializers_file_folder_path: model.folder,
  };
  return failingAs('RUNTIME_LOAD', () =>
    ort.InferenceSession.create(model.bytes, { ...options, extra: { session } }),
  );
}
