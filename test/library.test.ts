import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { VERSION } from '../runtime/version.js';
import { adapterPath, freshFolder, modelPath } from './fixtures.js';

/** As a user's program finds it: by name, through the package's exports. */
const library = (await import('ipgraft' as string)) as typeof import('../runtime/index.js');

describe('the library', () => {
  it('exports these names and no others', () => {
    assert.deepEqual(Object.keys(library).sort(), [
      'CATALOGUE',
      'GENEROUS_LIMITS',
      'IpgraftError',
      'VERSION',
      'batchModel',
      'blobSource',
      'bufferSource',
      'compile',
      'decodeImage',
      'diff',
      'diffReport',
      'generate',
      'hoistedModels',
      'hoistedPath',
      'inspect',
      'loadComponent',
      'openAdapter',
      'openModel',
      'openPipeline',
      'pictureRequest',
      'projectionModel',
      'rangeSource',
      'readPipelineFolder',
      'reportOf',
      'stripPatched',
      'swap',
      'typedClient',
      'validate',
      'validationReport',
      'writeBatched',
      'writePatched',
      'writeProjection',
      'writeSwapped',
    ]);
  });

  it('has the version of its package', () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    assert.equal(VERSION, version);
  });

  it('works as the README says', async () => {
    const model = await library.openModel(modelPath('sd15-sdpa-ts17'));
    const adapter = await library.openAdapter(adapterPath('sd15', 'base'));
    const patched = await library.compile(model, { adapters: [adapter], tokens: 'input', scale: 'layers' });
    const path = join(freshFolder(), 'patched.onnx');
    const written = await library.writePatched(patched, path);
    await Promise.all([model.close(), adapter.close()]);
    assert.ok(existsSync(path));
    assert.deepEqual(
      written.files.map(({ name }) => name),
      ['patched.onnx'],
    );
  });

  it('writes typed clients as docs/typed-clients.md says', async () => {
    const model = await library.openModel(modelPath('sd15-sdpa-ts17'));
    const { text, inputs } = await library.typedClient(model, { name: 'Unet' });
    await model.close();
    assert.match(text, /^export class Unet /m);
    assert.deepEqual(
      inputs.map(({ name }) => name),
      ['sample', 'timestep', 'encoder_hidden_states'],
    );
  });

  it('opens a model and an adapter that are not files: buffers and Blobs', async () => {
    const model = await library.openModel(
      library.bufferSource(readFileSync(modelPath('sd15-sdpa-dynamo23')), 'unet.onnx'),
    );
    const adapter = await library.openAdapter(
      library.blobSource(new Blob([readFileSync(adapterPath('sd15', 'plus'))]), 'plus'),
    );
    const { located, grafts } = await library.compile(model, { adapters: [adapter] });
    assert.equal(located.attentions.length, 16);
    assert.equal(grafts[0]!.tokens, 16);
  });
});
