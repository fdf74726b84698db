import assert from 'node:assert/strict';
import { apply } from '../../../compiler/edit/apply.js';
import type { Edit } from '../../../compiler/edit/edit.js';
import { type JournalEntry, parseJournal } from '../../../compiler/edit/journal.js';
import { revert } from '../../../compiler/edit/revert.js';
import { integerTensor } from '../../../compiler/onnx/create.js';
import type { Graph } from '../../../compiler/onnx/graph.js';
import { onnx } from '../../../compiler/onnx/proto.js';
import { refusal } from '../../refusal.js';
import { open } from '../generated-models.js';

/** x → Relu → y → Add(y, w) → z */
async function graph(): Promise<Graph> {
  const dim = [{ dimParam: 'batch' }, { dimValue: 77 }];
  const bytes = onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    metadataProps: [{ key: 'author', value: 'me' }],
    graph: {
      node: [
        { opType: 'Relu', name: '/relu', input: ['x'], output: ['y'] },
        { opType: 'Add', name: '/add', input: ['y', 'w'], output: ['z'] },
      ],
      initializer: [{ name: 'w', dims: [1], dataType: 1, rawData: new Uint8Array(4) }],
      input: [{ name: 'x', type: { tensorType: { elemType: 1, shape: { dim } } } }],
      output: [{ name: 'z' }],
    },
  }).finish();
  return (await open(bytes)).graph;
}

const node = { opType: 'Neg', name: '/neg', inputs: ['y'], outputs: ['n'] };
const input = { name: 'i', dataType: 'float', shape: [1] } as const;

describe('apply', () => {
  for (const [title, edit, code] of [
    ['a node in front of nothing', { kind: 'insert-node', node, before: 'none' }, 'EDIT_PRECONDITION'],
    [
      'a node whose output exists',
      { kind: 'insert-node', node: { ...node, outputs: ['y'] }, before: 'z' },
      'EDIT_NAME_TAKEN',
    ],
    [
      'the clone of a node that is not there',
      { kind: 'insert-node', node: { cloneOf: 'none', name: '', inputs: [], outputs: ['c'] }, before: null },
      'EDIT_PRECONDITION',
    ],
    [
      'a rewiring at no node',
      { kind: 'rewire', node: 'none', input: 0, from: 'y', to: 'x' },
      'EDIT_PRECONDITION',
    ],
    [
      'a rewiring of what another value feeds',
      { kind: 'rewire', node: 'z', input: 0, from: 'x', to: 'w' },
      'EDIT_PRECONDITION',
    ],
    [
      'a rewiring of an input too many',
      { kind: 'rewire', node: 'z', input: 2, from: 'y', to: 'w' },
      'EDIT_PRECONDITION',
    ],
    [
      'an initializer that exists',
      { kind: 'insert-initializer', tensor: integerTensor('w', 1) },
      'EDIT_NAME_TAKEN',
    ],
    ['an input that exists', { kind: 'insert-input', input: { ...input, name: 'x' } }, 'EDIT_NAME_TAKEN'],
    [
      'the size of an input that is not there',
      { kind: 'set-input-dimension', input: 'none', axis: 0, from: null, to: 1 },
      'EDIT_PRECONDITION',
    ],
    [
      'the size of an axis that is another',
      { kind: 'set-input-dimension', input: 'x', axis: 1, from: 64, to: 65 },
      'EDIT_PRECONDITION',
    ],
    [
      'the shape of an input that is not there',
      { kind: 'set-input-shape', input: 'none', from: [], to: ['b'] },
      'EDIT_PRECONDITION',
    ],
    [
      'the shape of an input that has another',
      { kind: 'set-input-shape', input: 'x', from: [], to: ['b'] },
      'EDIT_PRECONDITION',
    ],
    [
      'metadata that says something else',
      { kind: 'set-metadata', key: 'author', from: null, to: 'you' },
      'EDIT_PRECONDITION',
    ],
  ] as const satisfies readonly (readonly [string, Edit, string])[]) {
    it(`refuses ${title}`, async () => {
      const base = await graph();
      assert.throws(() => apply(base, [edit]), refusal(code));
    });
  }

  it('of no edits is the same graph', async () => {
    const base = await graph();
    assert.equal(apply(base, []), base);
  });

  it('lays insertions in front of their anchors, in their order', async () => {
    const insert = (value: string, before: string | null): Edit => ({
      kind: 'insert-node',
      node: { opType: 'Neg', name: value, inputs: ['x'], outputs: [value] },
      before,
    });
    const edits = [
      insert('a', 'z'),
      insert('b', null),
      insert('c', 'a'),
      insert('d', 'z'),
      insert('e', null),
    ];
    const order = apply(await graph(), edits).nodes.map(({ id }) => id);
    assert.deepEqual(order, ['b', 'e', 'y', 'c', 'a', 'd', 'z']);
  });

  it('sees what the edits before left', async () => {
    const after = apply(await graph(), [
      { kind: 'insert-node', node, before: 'z' },
      { kind: 'rewire', node: 'z', input: 0, from: 'y', to: 'n' },
      { kind: 'rewire', node: 'z', input: 0, from: 'n', to: 'x' },
    ]);
    assert.deepEqual(after.producer('z')?.inputs, ['x', 'w']);
  });
});

describe('revert', () => {
  for (const [title, entry] of [
    ['a node that is gone', { kind: 'insert-node', value: 'none' }],
    ['a rewired node that is gone', { kind: 'rewire', node: 'none', input: 0, from: 'x', to: 'y' }],
    ['a rewiring that was undone already', { kind: 'rewire', node: 'z', input: 0, from: 'x', to: 'w' }],
    ['an initializer that is gone', { kind: 'insert-initializer', name: 'none' }],
    ['an input that is gone', { kind: 'insert-input', name: 'none' }],
    ['a resized input that is gone', { kind: 'set-input-dimension', input: 'none', axis: 0, from: 1, to: 2 }],
    ['an input that has another size', { kind: 'set-input-dimension', input: 'x', axis: 1, from: 1, to: 64 }],
    ['a reshaped input that is gone', { kind: 'set-input-shape', input: 'none', from: [], to: ['b'] }],
    ['an input that has another shape', { kind: 'set-input-shape', input: 'x', from: [], to: ['b'] }],
    ['metadata that says something else', { kind: 'set-metadata', key: 'author', from: null, to: 'you' }],
  ] as const satisfies readonly (readonly [string, JournalEntry])[]) {
    it(`refuses ${title}`, async () => {
      const patched = await graph();
      assert.throws(() => revert(patched, [entry]), refusal('EDIT_PRECONDITION'));
    });
  }
});

describe('parseJournal', () => {
  for (const [title, json] of [
    ['no JSON', '[{'],
    ['no list', '{}'],
    ['a kind that is unknown', '[{"kind":"delete-everything"}]'],
    ['a key too many', '[{"kind":"insert-input","name":"x","path":"/etc"}]'],
    ['a name that is a number', '[{"kind":"insert-input","name":3}]'],
    ['a negative index', '[{"kind":"rewire","node":"a","input":-1,"from":"b","to":"c"}]'],
  ] as const) {
    it(`refuses ${title}`, () => {
      assert.throws(() => parseJournal(json), refusal('EDIT_JOURNAL_MALFORMED'));
    });
  }
});
