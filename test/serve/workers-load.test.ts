import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serveModel } from '../../runtime/serve/workers/serve-model.js';
import { freshFolder } from '../fixtures.js';
import { refusal } from '../refusal.js';
import { workersOf } from './processes.js';
import { castingModel, countingModel, identityModel } from './small-models.js';

/** What comes of serving a model that cannot be; nothing may be left running. */
async function refused(path: string, message: RegExp, options: Parameters<typeof serveModel>[1] = {}) {
  await assert.rejects(
    serveModel(path, options),
    (error: Error) => refusal('RUNTIME_LOAD')(error) && message.test(error.message),
  );
  assert.deepEqual(workersOf(), []);
}

describe('workers that cannot load', () => {
  it('say why and are gone: no file, no model, a type that nothing can be fed with', async () => {
    const broken = join(freshFolder(), 'broken.onnx');
    writeFileSync(broken, 'no model');
    await refused(join(freshFolder(), 'none.onnx'), /none\.onnx/, { workers: 2 });
    await refused(broken, /broken\.onnx/);
    await refused(castingModel('bfloat16'), /type/);
  });

  it('say so when the provider is not there', async () => {
    await refused(countingModel(), /cuda/i, { provider: 'cuda' });
  });

  it('do not load for longer than they may', async () => {
    await refused(countingModel(), /within 1 ms/, { loadTimeout: 1, workers: 2 });
  });

  it('are not even started for numbers that make no sense', async () => {
    for (const options of [
      { workers: 0 },
      { threads: 1.5 },
      { queueSize: -1 },
      { runTimeout: Number.NaN },
      { loadTimeout: 2 ** 31 },
    ])
      await assert.rejects(serveModel(countingModel(), options), refusal('OPTION_INVALID'));
  });

  it('tell those who wait when the model is gone for good', async () => {
    const path = identityModel(['x', 'float', [1]]);
    const served = await serveModel(path);
    const input = { name: 'x', datatype: 'FP32', shape: [1], data: new Uint8Array(4) } as const;
    writeFileSync(path, 'no model any more');
    process.kill(workersOf()[0]!, 'SIGKILL');
    await assert.rejects(served.infer([input]), refusal('SERVER_WORKER_LOST'));
    await assert.rejects(
      served.infer([input]),
      (error: Error) =>
        refusal('SERVER_MODEL_NOT_READY')(error) && /none starts.*files have changed/.test(error.message),
    );
    await served.close(0);
    assert.deepEqual(workersOf(), []);
  });
});
