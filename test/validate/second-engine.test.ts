import assert from 'node:assert/strict';
import { type Importing, loadSecondEngine } from '../../runtime/validate/second-engine.js';

/** As Node.js refuses a package that is not installed. */
function notInstalled(name: string): Error {
  return Object.assign(new Error(`Cannot find package '${name}' imported from here`), {
    code: 'ERR_MODULE_NOT_FOUND',
  });
}

/** `import` where only these packages are installed; `null` stands for the real one. */
function onlyWith(installed: Readonly<Record<string, unknown>>): Importing {
  return async (name) => {
    if (!(name in installed)) throw notInstalled(name);
    return installed[name] === null ? import(name) : installed[name];
  };
}

const TFJS = '@tensorflow/tfjs';
const CORE = '@tensorflow/tfjs-core';
const WASM = '@tensorflow/tfjs-backend-wasm';
const PORTABLE = { [TFJS]: null, [CORE]: null, [WASM]: null };

describe('the second engine', () => {
  it('is the WebAssembly backend where nothing else is installed, and leaves no listeners behind', async () => {
    const listeners = () =>
      process.listenerCount('uncaughtException') + process.listenerCount('unhandledRejection');
    const before = listeners();
    const { engine, tf } = await loadSecondEngine(onlyWith(PORTABLE));
    assert.deepEqual([engine.name, engine.backend], [TFJS, 'wasm']);
    assert.match(engine.version, /^4\./);
    assert.deepEqual(
      [...tf.matMul(tf.tensor2d([1, 2], [1, 2]), tf.tensor2d([3, 4], [2, 1])).dataSync()],
      [11],
    );
    assert.equal(listeners(), before);
  });

  it('is a part of it where only that is installed, and plain JavaScript without the backend', async () => {
    const part = await loadSecondEngine(onlyWith({ [CORE]: null, [WASM]: null }));
    assert.deepEqual([part.engine.name, part.engine.backend], [CORE, 'wasm']);
    const plain = await loadSecondEngine(onlyWith({ [TFJS]: null }));
    assert.deepEqual([plain.engine.name, plain.engine.backend], [TFJS, 'cpu']);
    assert.deepEqual([...plain.tf.add([1, 2], [3, 4]).dataSync()], [4, 6]);
  });

  it('is tfjs-node-gpu where that is installed, and asks for nothing else', async () => {
    const asked: string[] = [];
    const native = { ready: async () => {}, version_core: '4.22.0', getBackend: () => 'tensorflow' };
    const { engine, tf } = await loadSecondEngine(async (name) => {
      asked.push(name);
      return { default: native };
    });
    assert.equal(tf as unknown, native);
    assert.deepEqual(engine, { name: '@tensorflow/tfjs-node-gpu', version: '4.22.0', backend: 'tensorflow' });
    assert.deepEqual(asked, ['@tensorflow/tfjs-node-gpu']);
  });

  it('is refused by name where it is missing, in part, or broken', async () => {
    for (const [importing, message] of [
      [onlyWith({}), /found none with a backend/],
      [
        async (name: string) => {
          if (name === '@tensorflow/tfjs-node-gpu') throw new Error('libcudart.so.11.0: no such file');
          return import(name);
        },
        /tfjs-node-gpu is installed and cannot be loaded: libcudart/,
      ],
    ] as const)
      await assert.rejects(loadSecondEngine(importing), (error) => {
        assert.ok(error instanceof Error);
        assert.equal((error as Error & { code?: string }).code, 'RUNTIME_ENGINE');
        assert.match(error.message, message);
        return true;
      });
  });
});
