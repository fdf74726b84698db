import fc from 'fast-check';
import { flattenTensors } from '../../../compiler/checkpoint/flatten.js';
import { readPickle } from '../../../compiler/checkpoint/pickle.js';
import { torchNames } from '../../../compiler/checkpoint/torch-names.js';
import { openTorchZip } from '../../../compiler/checkpoint/torch-zip.js';
import { IpgraftError } from '../../../compiler/errors.js';
import { bufferSource } from '../../../compiler/io/byte-source.js';
import { fixtureBytes, readAll } from './samples.js';

const SAMPLES = [
  ['adapters', 'sd15-base.safetensors'],
  ['adapters', 'sd15-base.bin'],
  ['adapters', 'sd15-full-face.safetensors'],
  ['adapters', 'sd15-full-face.bin'],
  ['hostile', 'views.bin'],
] as const;

/** Works, or is refused in our words; anything else is thrown on. */
async function settle(work: () => unknown): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof IpgraftError)) throw error;
  }
}

/** Where to write which bytes; half of them near the end, where a zip has its directory. */
function damages(length: number) {
  const place = fc.oneof(
    fc.nat(length - 1),
    fc.integer({ min: Math.max(0, length - 2000), max: length - 1 }),
    fc.nat(Math.min(length - 1, 1000)),
  );
  return fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 6 });
}

function damaged(bytes: Uint8Array, changes: readonly (readonly [number, number])[]): Uint8Array {
  const copy = bytes.slice();
  for (const [at, value] of changes) copy[at] = value;
  return copy;
}

describe('damaged checkpoints open or are refused', () => {
  for (const path of SAMPLES) {
    const bytes = fixtureBytes(...path);
    it(`${path[1]}, cut off`, () =>
      fc.assert(
        fc.asyncProperty(fc.nat(bytes.length - 1), (length) => settle(() => readAll(bytes.slice(0, length)))),
        { numRuns: 300 },
      ));

    it(`${path[1]}, with bytes changed`, () =>
      fc.assert(
        fc.asyncProperty(damages(bytes.length), (changes) => settle(() => readAll(damaged(bytes, changes)))),
        { numRuns: 100 },
      ));
  }

  it('views.bin, cut off at every byte', async () => {
    const bytes = fixtureBytes('hostile', 'views.bin');
    for (let length = 0; length < bytes.length; length++) await settle(() => readAll(bytes.slice(0, length)));
  });

  it('a pickle with bytes changed, past its checksum', async () => {
    const { pickle } = await openTorchZip(bufferSource(fixtureBytes('hostile', 'views.bin')));
    const read = (bytes: Uint8Array) =>
      flattenTensors(readPickle(bytes, torchNames('sample'), 'sample'), 'sample');
    await fc.assert(
      fc.asyncProperty(damages(pickle.length), (changes) => settle(() => read(damaged(pickle, changes)))),
      { numRuns: 5000 },
    );
  });

  it('a pickle of random opcodes', async () => {
    const opcodes = fc.constantFrom(
      ...'(qrhjNJKMGX)]}aesutcQRb.\x80\x85\x86\x87\x88\x89\x8a\x8c\x93\x94\x95',
    );
    const content = fc.array(
      fc.oneof({ weight: 4, arbitrary: opcodes.map((c) => c.charCodeAt(0)) }, fc.nat(255)),
      { maxLength: 60 },
    );
    const read = (bytes: Uint8Array) =>
      flattenTensors(readPickle(bytes, torchNames('sample'), 'sample'), 'sample');
    await fc.assert(
      fc.asyncProperty(content, (bytes) => settle(() => read(Uint8Array.from(bytes)))),
      { numRuns: 5000 },
    );
  });
});
