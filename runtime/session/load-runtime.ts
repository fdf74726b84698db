import { IpgraftError } from '../../compiler/errors.js';

export type Runtime = typeof import('onnxruntime-node');

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

/** Does some work of ONNX Runtime, whose errors have nothing but a message, and gives them a code. */
export async function failingAs<T>(
  code: 'RUNTIME_LOAD' | 'RUNTIME_RUN',
  work: () => Promise<T>,
  hint?: string,
): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new IpgraftError(
      code,
      (cause as Error).message,
      {},
      hint === undefined ? { cause } : { cause, hint },
    );
  }
}
