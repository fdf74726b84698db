import { IpgraftError } from '../../compiler/errors.js';
import type { Engine } from './validation.js';

/** TensorFlow.js' functions: the same ones in all its packages. */
export type TensorFlow = typeof import('@tensorflow/tfjs');

/** TensorFlow.js, ready to compute: it shares no code with ONNX Runtime, nor with what compiles. */
export interface SecondEngine {
  readonly engine: Engine;
  readonly tf: TensorFlow;
}

/** Packages with native code, best first: whoever installs one wants it used. */
const NATIVE = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;
/** Packages without native code; the second is a part of the first, and has no backend of its own. */
const PORTABLE = ['@tensorflow/tfjs', '@tensorflow/tfjs-core'] as const;
/**
 * Against float64 both of the portable backends are exact enough (wasm 5e-7, cpu 3e-7 of the largest value, at the widths of SD1.5 and
 * SDXL), and wasm takes a fifth to a third of the time.
 */
const WASM = '@tensorflow/tfjs-backend-wasm';

/** `import`, or what a test puts in its place. */
export type Importing = (name: string) => Promise<unknown>;

/**
 * Loads TensorFlow.js: `@tensorflow/tfjs-node-gpu` or `@tensorflow/tfjs-node` where one of them is installed, else `@tensorflow/tfjs`, on
 * WebAssembly where that backend is there, else in plain JavaScript.
 * @throws IpgraftError `RUNTIME_ENGINE`
 */
export async function loadSecondEngine(importing: Importing = (name) => import(name)): Promise<SecondEngine> {
  for (const name of NATIVE) {
    const tf = await importInstalled(importing, name);
    if (tf !== null) return ready(name, tf as TensorFlow);
  }
  for (const name of PORTABLE) {
    const tf = await quietly(() => startPortable(importing, name));
    if (tf !== null) return ready(name, tf);
  }
  throw missing(`sought ${[...NATIVE, ...PORTABLE].join(', ')}, found none with a backend`);
}

/** `null` where it is not installed or has no backend. */
async function startPortable(importing: Importing, name: string): Promise<TensorFlow | null> {
  const tf = (await importInstalled(importing, name)) as TensorFlow | null;
  if (tf === null) return null;
  // Without it the plain backend advertises the native one.
  tf.enableProdMode();
  const backend = (await importInstalled(importing, WASM)) === null ? 'cpu' : 'wasm';
  return tf.findBackendFactory(backend) !== null && (await tf.setBackend(backend)) ? tf : null;
}

async function ready(name: string, tf: TensorFlow): Promise<SecondEngine> {
  await tf.ready();
  return { engine: { name, version: tf.version_core, backend: tf.getBackend() }, tf };
}

/** `null` where a package is not installed; one that is and does not load is said to be broken. */
async function importInstalled(importing: Importing, name: string): Promise<unknown> {
  try {
    const module = (await importing(name)) as { default?: unknown };
    return module.default ?? module;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (/MODULE_NOT_FOUND$/.test(code ?? '') && message.includes(`'${name}'`)) return null;
    throw missing(`${name} is installed and cannot be loaded: ${message}`, cause);
  }
}

/** Emscripten's start-up code listens for errors that nobody catches, only to throw them again: that is not a library's business. */
async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = events.map((event) => new Set(process.listeners(event as 'uncaughtException')));
  try {
    return await work();
  } finally {
    events.forEach((event, i) => {
      for (const listener of process.listeners(event as 'uncaughtException'))
        if (!before[i]!.has(listener)) process.removeListener(event, listener);
    });
  }
}

function missing(message: string, cause?: unknown): IpgraftError {
  return new IpgraftError('RUNTIME_ENGINE', message, {}, { cause });
}
