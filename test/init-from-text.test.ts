import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { onnx } from '../compiler/onnx/proto.js';
import { modelPath } from './fixtures.js';
import { largestDifference, reference } from './numbers.js';
import { patchFile } from './patched.js';
import { load, unetInputs } from './session.js';

describe('--init-from-text', () => {
  for (const model of ['sd15-sdpa-ts17', 'sd15-classic-ts14', 'sd21-sdpa-ts17']) {
    it(`${model}: with the text as image tokens every attention gives twice its result`, async () => {
      const expected = await reference(model.startsWith('sd21') ? 'sd21' : 'sd15', 'base');
      const inputs = unetInputs(expected);
      const text = inputs.encoder_hidden_states!;
      const { path, patched } = await patchFile(modelPath(model), [], {
        tokens: 'input',
        initFromText: { tokens: text.dims[1]! },
      });
      const sites = patched.located.attentions.map(({ scope, exit }) => ({
        scope,
        before: exit.value,
        after: patched.graph.producer(exit.node)!.inputs[exit.input]!,
      }));
      expose(
        path,
        sites.flatMap(({ before, after }) => [before, after]),
      );
      const session = await load(path);
      const scale = { dims: [1], data: Float32Array.of(1) };
      const results = await session.run({ ...inputs, ip_hidden_states: text, ip_scale: scale });
      assert.equal(sites.length, 16);
      for (const { scope, before, after } of sites) {
        const twice = results.get(before)!.data.map((value) => 2 * value);
        assert.ok(largestDifference(twice, new Float32Array(twice.length)) > 1e-3, `${scope} has a result`);
        const difference = largestDifference(results.get(after)!.data, twice);
        assert.ok(difference <= 1e-5, `${scope}: ${difference}`);
      }
      await session.release();
    });
  }
});

/** Makes inner values outputs. For TorchScript exports only: they have nothing that onnx-proto would drop. */
function expose(path: string, values: readonly string[]): void {
  const model = onnx.ModelProto.decode(readFileSync(path));
  for (const name of values) model.graph!.output!.push({ name, type: { tensorType: { elemType: 1 } } });
  writeFileSync(path, onnx.ModelProto.encode(model).finish());
}
