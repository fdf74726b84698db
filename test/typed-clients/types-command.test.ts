import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ipgraft, ipgraftProcess } from '../command.js';
import { freshFolder, modelPath } from '../fixtures.js';
import { identityModel, value, writeSmallModel } from '../serve/small-models.js';

/** A model that gives a list of tensors. */
function sequenceModel(): string {
  const sequence = { sequenceType: { elemType: { tensorType: { elemType: 1 } } } };
  return writeSmallModel({
    node: [{ opType: 'SequenceConstruct', input: ['x'], output: ['list'] }],
    input: [value(['x', 'float', [1]])],
    output: [{ name: 'list', type: sequence }],
  });
}

describe('ipgraft types', () => {
  const model = modelPath('sd15-sdpa-ts17');

  it('writes a client called after its file, the same again, and over a file only when told to', async () => {
    const path = join(freshFolder(), 'out', 'my-unet.ts');
    const bundled = ipgraftProcess('types', model, '-o', path);
    assert.deepEqual([bundled.code, bundled.stderr], [0, '']);
    assert.match(bundled.stdout, /my-unet\.ts .* class MyUnet, 3 inputs, 1 output/);
    const text = readFileSync(path, 'utf8');
    assert.match(text, /export class MyUnet \{/);
    const again = await ipgraft('types', model, '-o', path);
    assert.match(again.stderr, /OUTPUT_EXISTS/);
    assert.equal((await ipgraft('types', model, '-o', path, '--force')).code, 0);
    assert.equal(readFileSync(path, 'utf8'), text);
    assert.equal(
      (await ipgraft('types', model, '-o', path, '--force', '--name', 'Step', '--only', 'http')).code,
      0,
    );
    const other = readFileSync(path, 'utf8');
    assert.match(other, /export class StepError extends Error/);
    assert.doesNotMatch(other, /onnxruntime-node'|overSession/);
  });

  for (const [what, code, args] of [
    ['a name that is no class’s', 'OPTION_INVALID', [model, '--name', 'unet']],
    ['a name that the client needs', 'OPTION_INVALID', [model, '--name', 'Tensor']],
    ['a name that the language needs', 'OPTION_INVALID', [model, '--name', 'Promise']],
    ['another way to run', 'OPTION_INVALID', [model, '--only', 'grpc']],
    ['no model', 'MODEL_NOT_ONNX', ['README.md']],
    ['no tensor', 'MODEL_INTERFACE', [sequenceModel()]],
    ['bfloat16 in a session', 'MODEL_INTERFACE', [identityModel(['x', 'bfloat16', ['n']])]],
  ] as const)
    it(`refuses ${what}, and writes nothing`, async () => {
      const path = join(freshFolder(), 'x.ts');
      const { stderr, code: exit } = await ipgraft('types', ...args, '-o', path);
      assert.match(stderr, new RegExp(`^${code}: `));
      assert.ok(exit! > 1 && !existsSync(path));
    });
});
