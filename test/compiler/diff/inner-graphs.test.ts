import assert from 'node:assert/strict';
import { compareModels } from '../../../compiler/diff/compare-models.js';
import type { ModelDiff } from '../../../compiler/diff/model-diff.js';
import { bufferSource } from '../../../compiler/io/byte-source.js';
import { onnx } from '../../../compiler/onnx/proto.js';
import { openModel } from '../../../runtime/open.js';

const { AttributeProto } = onnx;

/** What is different in an If's branch and in a function. */
interface Inner {
  readonly branchOp?: string;
  readonly branchReads?: string;
  readonly branchName?: string;
  readonly weight?: number;
  readonly functionOp?: string;
  readonly functions?: readonly string[];
}

function encode({
  branchOp = 'Mul',
  branchReads = 'h',
  branchName = 'inner',
  weight = 1,
  functionOp = 'Abs',
  functions = ['Twice'],
}: Inner): Uint8Array {
  const branch = {
    name: 'then',
    node: [{ opType: branchOp, input: [branchReads, 'w'], output: [branchName] }],
    initializer: [{ name: 'w', dataType: 1, dims: [1], floatData: [weight] }],
    output: [{ name: branchName }],
  };
  const model = {
    irVersion: 8,
    opsetImport: [{ version: 17 }, { domain: 'own', version: 1 }],
    graph: {
      input: [{ name: 'x', type: { tensorType: { elemType: 1 } } }],
      node: [
        { opType: 'Relu', input: ['x'], output: ['h'] },
        { opType: 'Exp', input: ['x'], output: ['g'] },
        {
          opType: 'If',
          name: 'either',
          input: ['h'],
          output: ['y'],
          attribute: [{ name: 'then_branch', type: AttributeProto.AttributeType.GRAPH, g: branch }],
        },
      ],
    },
    functions: functions.map((name) => ({
      name,
      domain: 'own',
      input: ['a'],
      output: ['b'],
      node: [{ opType: functionOp, input: ['a'], output: ['b'] }],
    })),
  };
  return onnx.ModelProto.encode(onnx.ModelProto.fromObject(model)).finish();
}

async function diffOf(a: Inner, b: Inner): Promise<ModelDiff> {
  const open = (inner: Inner) => openModel(bufferSource(encode(inner)));
  return compareModels(await open(a), await open(b));
}

describe('graphs within a model are compared as the model is', () => {
  it('equal ones have no change', async () => {
    assert.deepEqual((await diffOf({}, {})).changes, []);
  });

  for (const [what, other, sought] of [
    ['an operator', { branchOp: 'Add' }, { subject: 'node', kinds: ['changed'] }],
    ['a reading of a value around it', { branchReads: 'g' }, { subject: 'node', kinds: ['rewired'] }],
    ['a weight', { weight: 2 }, { subject: 'initializer', kinds: ['changed'] }],
  ] as const) {
    it(`in the branch of an If, ${what}`, async () => {
      const { changes } = await diffOf({}, other);
      assert.deepEqual(
        changes.map(({ subject, scope, aspects }) => ({
          subject,
          scope,
          kinds: aspects.map(({ kind }) => kind),
        })),
        [
          { subject: 'node', scope: '', kinds: ['changed'] },
          { ...sought, scope: 'If either, then_branch' },
        ].sort((x, y) => x.subject.localeCompare(y.subject)),
      );
    });
  }

  it('a value of a branch that is called otherwise is renamed, there and in no other place', async () => {
    const { changes } = await diffOf({}, { branchName: 'other' });
    const inside = changes.filter(({ scope }) => scope === 'If either, then_branch');
    assert.equal(inside.length, changes.length - 1);
    const kinds = inside.flatMap(({ aspects }) => aspects.map(({ kind }) => kind));
    assert.deepEqual([...new Set(kinds)], ['renamed']);
  });

  it('a function by its body, and one that is new or gone', async () => {
    const { changes } = await diffOf({}, { functionOp: 'Neg' });
    assert.deepEqual(
      changes.map(({ subject, scope }) => ({ subject, scope })),
      [
        { subject: 'function', scope: '' },
        { subject: 'node', scope: 'function own::Twice' },
      ],
    );
    const { counts } = await diffOf({ functions: ['Twice'] }, { functions: ['Twice', 'Thrice'] });
    assert.deepEqual([counts.function.unchanged, counts.function.added], [1, 1]);
    assert.equal((await diffOf({}, { functions: [] })).counts.function.removed, 1);
  });
});
