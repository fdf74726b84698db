import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { IpgraftError } from '../../compiler/errors.js';
import { bufferSource } from '../../compiler/io/byte-source.js';
import { fileFolder } from '../../compiler/io/file-folder.js';
import { onnx } from '../../compiler/onnx/proto.js';
import { FUNCTION, GRAPH, MODEL, NODE } from '../../compiler/onnx/schema.js';
import { type Field, fields, WIRE } from '../../compiler/wire/fields.js';
import { Rope } from '../../compiler/wire/rope.js';
import { diff } from '../../runtime/diff.js';
import { type OpenedModel, openModel } from '../../runtime/open.js';
import { fixturePath, formPath } from '../fixtures.js';
import { patchFile } from '../patched.js';

const CHANGES = 10_000;

/** A change of a file: what was done, and the bytes after it. */
interface Change {
  readonly what: string;
  readonly bytes: Uint8Array;
}

type Random = (below: number) => number;

function randomOf(seed: number): Random {
  const generator = xoroshiro128plus(seed);
  return (below) => uniformInt(generator, 0, below - 1);
}

function flipBit(bytes: Uint8Array, random: Random): Change {
  const at = random(bytes.length);
  const bit = random(8);
  const changed = bytes.slice();
  changed[at]! ^= 1 << bit;
  return { what: `bit ${bit} of byte ${at}`, bytes: changed };
}

/** What has records of its own, by field: a path from the model down. */
const INSIDE: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  model: { [MODEL.graph]: 'graph', [MODEL.metadata]: 'leaf', [MODEL.functions]: 'function' },
  graph: { [GRAPH.node]: 'node', [GRAPH.initializer]: 'leaf', [GRAPH.input]: 'leaf', [GRAPH.output]: 'leaf' },
  function: { [FUNCTION.node]: 'node' },
  node: { [NODE.attribute]: 'leaf' },
  leaf: {},
};

/** Removes, repeats or exchanges records somewhere in the message; lengths around it are made right. */
function changeRecord(message: Uint8Array, kind: string, random: Random): Change {
  const records = fields(Rope.of(message));
  const pick = records[random(records.length)];
  if (pick === undefined) return { what: 'nothing', bytes: message };
  const inner = INSIDE[kind]![pick.number];
  // Deeper three times of four: there are many records in few levels.
  if (inner !== undefined && pick.wireType === WIRE.BYTES && random(4) > 0) {
    const { what, bytes } = changeRecord(message.subarray(pick.payload, pick.end), inner, random);
    return { what: `${kind} ${pick.number} › ${what}`, bytes: withContent(message, pick, bytes) };
  }
  const own = message.subarray(pick.start, pick.end);
  const join = (...parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts));
  const [before, after] = [message.subarray(0, pick.start), message.subarray(pick.end)];
  const place = `${kind} record ${pick.number} at ${pick.start}`;
  switch (random(3)) {
    case 0:
      return { what: `${place} removed`, bytes: join(before, after) };
    case 1:
      return { what: `${place} repeated`, bytes: join(before, own, own, after) };
    default: {
      const next = records.find(({ start }) => start === pick.end);
      if (next === undefined) return { what: `${place} removed`, bytes: join(before, after) };
      const other = message.subarray(next.start, next.end);
      return { what: `${place} after the next`, bytes: join(before, other, own, message.subarray(next.end)) };
    }
  }
}

function withContent(message: Uint8Array, { number, start, end }: Field, content: Uint8Array): Uint8Array {
  const header = onnx.StringStringEntryProto.encode({})
    .uint32((number << 3) | WIRE.BYTES)
    .uint32(content.length);
  return new Uint8Array(
    Buffer.concat([message.subarray(0, start), header.finish(), content, message.subarray(end)]),
  );
}

/** What a model means to whoever reads it: everything but the order of fields of different kinds, and what ONNX does not know. */
function meaning(bytes: Uint8Array): unknown {
  const model = onnx.ModelProto.toObject(onnx.ModelProto.decode(bytes), { longs: String, bytes: String });
  const named = (entries: readonly { readonly key?: string }[] | undefined) =>
    Object.fromEntries((entries ?? []).map((entry) => [entry.key, entry]));
  return { ...model, metadataProps: named(model.metadataProps) };
}

describe(`${CHANGES} random changes of a patched file`, () => {
  let base: OpenedModel;
  let patched: string;
  let bytes: Uint8Array;
  before(async () => {
    base = await openModel(formPath('compact-opset26'));
    ({ path: patched } = await patchFile(base.path!, [fixturePath('forms', 'compact.adapter.safetensors')]));
    bytes = new Uint8Array(readFileSync(patched));
  });
  after(() => base.close());

  /** Whether a change was refused or does not keep the proof; where it does, it may mean nothing. */
  async function notices({ what, bytes: changed }: Change): Promise<boolean> {
    try {
      const model = await openModel(bufferSource(changed, 'changed.onnx'), fileFolder(dirname(patched)));
      const { proof, changes } = await diff(base, model);
      if (proof === null ? changes.length > 0 : !proof.holds) return true;
    } catch (error) {
      if (error instanceof IpgraftError) return true;
      throw new Error(`${what}: ${(error as Error).stack}`);
    }
    assert.ok(isDeepStrictEqual(meaning(changed), meaning(bytes)), `unnoticed: ${what}`);
    return false;
  }

  it('one bit: none is unnoticed that changes what the model says', async () => {
    const random = randomOf(1);
    let noticed = 0;
    for (let i = 0; i < CHANGES / 2; i++) if (await notices(flipBit(bytes, random))) noticed += 1;
    assert.ok(noticed > 0.95 * (CHANGES / 2), `${noticed} noticed`);
  });

  it('one record: removed, repeated, after the next', async () => {
    const random = randomOf(2);
    let noticed = 0;
    for (let i = 0; i < CHANGES / 2; i++)
      if (await notices(changeRecord(bytes, 'model', random))) noticed += 1;
    assert.ok(noticed > 0.5 * (CHANGES / 2), `${noticed} noticed`);
  });
});
