import assert from 'node:assert/strict';
import { openCheckpoint } from '../../../compiler/checkpoint/open-checkpoint.js';
import { bufferSource } from '../../../compiler/io/byte-source.js';
import { assertRefused, bytesOf, fixtureBytes, type Part, refusal, safetensors } from './samples.js';

describe('what a file is', () => {
  const strangers: readonly (readonly [string, RegExp, Part])[] = [
    ['an empty file', /empty/, ''],
    [
      'a Git LFS pointer',
      /LFS pointer/,
      'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 98\n',
    ],
    ['a web page', /web page/, '<!doctype html><html lang="de"><title>Anmeldung nötig</title>'],
    ['plain text', /text file/, 'Invalid username or password.'],
    ['JSON', /text file/, '{"error": "not found"}'],
    ['GGUF', /GGUF/, ['GGUF', 3, 0, 0, 0, new Uint8Array(16)]],
    ['HDF5', /HDF5/, ['\x89HDF\r\n\x1a\n', new Uint8Array(16)]],
    ['gzip', /gzip/, ['\x1f\x8b\x08', new Uint8Array(16)]],
    ['ONNX', /ONNX/, ['\x08\x08\x12\x07pytorch\x1a\x052.3.0', new Uint8Array(16)]],
    ['unknown bytes', /neither/, new Uint8Array(64)],
    ['one byte', /neither/, [0]],
  ];
  for (const [name, message, content] of strangers) {
    it(`refuses ${name} by name`, () => assertRefused(bytesOf(content), 'ADAPTER_NOT_A_CHECKPOINT', message));
  }

  it('tells what to do about a Git LFS pointer', async () => {
    assert.match((await refusal(bytesOf('version https://git-lfs.github.com/spec/v1'))).hint, /git lfs pull/);
  });

  it('refuses torch files from before 1.6', async () => {
    await assertRefused(fixtureBytes('hostile', 'legacy.bin'), 'ADAPTER_LEGACY_TORCH', /before torch 1\.6/);
    await assertRefused(bytesOf('\x80\x04', new Uint8Array(30)), 'ADAPTER_LEGACY_TORCH', /bare pickle/);
    await assertRefused(
      bytesOf('sys_info', new Uint8Array(249), 'ustar\x00', new Uint8Array(250)),
      'ADAPTER_LEGACY_TORCH',
      /tar/,
    );
  });

  it('refuses TorchScript', () =>
    assertRefused(fixtureBytes('hostile', 'program.pt'), 'ADAPTER_NOT_A_CHECKPOINT', /TorchScript/));

  it('does not take the length of a safetensors header for a signature', async () => {
    // 640 is 80 02 (pickle), 0x8b1f gzip's magic, 0x120108 an ONNX model's first fields.
    for (const length of [640, 0x8b1f, 0x120108]) {
      const header = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.padEnd(length);
      const { format } = await openCheckpoint(bufferSource(safetensors(header, 4), `${length}.bin`));
      assert.equal(format, 'safetensors');
    }
  });
});
