import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import fc from 'fast-check';
import { IpgraftError } from '../compiler/errors.js';
import { bufferSource } from '../compiler/io/byte-source.js';
import { fileFolder } from '../compiler/io/file-folder.js';
import { readModel } from '../compiler/onnx/read-model.js';
import { MODEL } from '../compiler/onnx/schema.js';
import { fields } from '../compiler/wire/fields.js';
import { Rope } from '../compiler/wire/rope.js';
import { compile } from '../runtime/compile.js';
import { type OpenedAdapter, openAdapter, openModel } from '../runtime/open.js';
import { adapterPath, modelPath } from './fixtures.js';

/** Its weights are in another file: nearly every byte of it is structure. */
const NAME = 'sd15-sdpa-ts17-static';
const ENDS = 300;

function bytesOf(name: string): Uint8Array {
  return new Uint8Array(readFileSync(modelPath(name)));
}

/** Where a file may end and still be a model: behind a record, when graph and opsets are complete. */
function wholeModels(bytes: Uint8Array): Set<number> {
  const records = fields(Rope.of(bytes));
  const last = records.findLastIndex(({ number }) => number === MODEL.opsetImport || number === MODEL.graph);
  const first = records.findIndex(({ number }) => number === MODEL.opsetImport);
  const graph = records.findIndex(({ number }) => number === MODEL.graph);
  assert.ok(last >= 0 && first >= 0 && graph >= 0);
  return new Set(records.slice(Math.max(first, graph)).map(({ end }) => end));
}

async function refusesCut(bytes: Uint8Array, end: number, whole: ReadonlySet<number>): Promise<void> {
  const cut = bufferSource(bytes.subarray(0, end), 'cut.onnx');
  if (whole.has(end)) {
    assert.ok((await readModel(cut)).graph.nodes.length > 0);
    return;
  }
  await assert.rejects(
    readModel(cut),
    (error) => error instanceof IpgraftError && /^(WIRE|MODEL)_/.test(error.code),
    `cut at ${end}`,
  );
}

describe('a truncated model is refused', () => {
  for (const name of [NAME, 'sd15-sdpa-dynamo23']) {
    describe(name, () => {
      const bytes = bytesOf(name);
      const whole = wholeModels(bytes);

      it(`cut anywhere in its first ${ENDS} bytes`, async () => {
        for (let end = 0; end < ENDS; end++) await refusesCut(bytes, end, whole);
      });

      it(`cut anywhere in its last ${ENDS} bytes`, async () => {
        for (let end = bytes.length - ENDS; end < bytes.length; end++) await refusesCut(bytes, end, whole);
      });

      it('cut anywhere', async () => {
        await fc.assert(
          fc.asyncProperty(fc.nat(bytes.length - 1), (end) => refusesCut(bytes, end, whole)),
          { numRuns: 150 },
        );
      });
    });
  }

  it('a model with its weights inside, cut in their midst', async () => {
    const bytes = bytesOf('sd15-sdpa-ts17');
    const model = await readModel(bufferSource(bytes));
    const stored = model.file.segments.filter((segment) => segment.kind === 'stored');
    assert.ok(stored.length > 10);
    for (const { offset, length } of stored) await refusesCut(bytes, offset + (length >>> 1), new Set());
  });
});

describe('a damaged model', () => {
  const bytes = bytesOf(NAME);
  const folder = () => fileFolder(dirname(modelPath('sd15-sdpa-ts17-external')));
  let adapter: OpenedAdapter;

  before(async () => {
    adapter = await openAdapter(adapterPath('sd15', 'base'));
  });
  after(() => adapter.close());

  /** Compiles what is left; the answer is a result or an error of ours, soon. */
  async function survives(damaged: Uint8Array): Promise<void> {
    const start = performance.now();
    try {
      const opened = await openModel(bufferSource(damaged, 'damaged.onnx'), folder());
      await compile(opened, { adapters: [adapter] });
      await opened.close();
    } catch (error) {
      if (!(error instanceof IpgraftError)) throw error;
    }
    assert.ok(performance.now() - start < 10_000, 'took too long');
  }

  it('undamaged compiles', async () => {
    const opened = await openModel(bufferSource(bytes), folder());
    assert.equal((await compile(opened, { adapters: [adapter] })).located.attentions.length, 16);
    await opened.close();
  });

  it('with one byte changed is compiled or refused by name', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const damaged = bytes.slice();
        damaged[at]! ^= change;
        await survives(damaged);
      }),
      { numRuns: 50 },
    );
  });

  it('with some bytes of a node changed is compiled or refused by name', async () => {
    const { graph } = await readModel(bufferSource(bytes));
    const nodes = graph.nodes.filter(({ opType }) =>
      /^(Shape|Gather|Slice|Constant|MatMul|Softmax)$/.test(opType),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.nat(),
        fc.uint8Array({ minLength: 1, maxLength: 3 }),
        async (pick, at, put) => {
          const { place, record } = nodes[pick % nodes.length]!;
          const damaged = bytes.slice();
          damaged.set(put, place! + 2 + (at % record.length));
          await survives(damaged);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('with a piece missing is compiled or refused by name', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 64 }), async (at, length) => {
        const damaged = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
        await survives(new Uint8Array(damaged));
      }),
      { numRuns: 50 },
    );
  });
});
