import assert from 'node:assert/strict';
import { downstream, leadingTo, tokenReadings } from '../../../compiler/analysis/cone.js';
import { constantIntegers, isConstant, weightOf } from '../../../compiler/analysis/constants.js';
import type { Graph } from '../../../compiler/onnx/graph.js';
import { onnx } from '../../../compiler/onnx/proto.js';
import { open } from '../generated-models.js';

type NodeProto = NonNullable<NonNullable<Parameters<typeof onnx.GraphProto.encode>[0]['node']>[number]>;
const INT = onnx.AttributeProto.AttributeType.INT;

function node(
  opType: string,
  input: readonly string[],
  output: string,
  attributes: Record<string, number> = {},
): NodeProto {
  const attribute = Object.entries(attributes).map(([name, i]) => ({ name, type: INT, i }));
  return { opType, input: [...input], output: [output], attribute };
}

function int64(name: string, ...values: readonly number[]) {
  return { name, dataType: 7, dims: [values.length], int64Data: [...values] };
}

async function graphOf(
  nodes: readonly NodeProto[],
  constants: readonly ReturnType<typeof int64>[] = [],
): Promise<Graph> {
  const weights = ['to_k', 'to_v', 'to_out', 'bias'].map((name) => ({ name, dataType: 1, dims: [2, 2] }));
  const inputs = ['text', 'query', 'unknown', 'overridable'].map((name) => ({ name }));
  const bytes = onnx.ModelProto.encode({
    opsetImport: [{ version: 17 }],
    graph: {
      node: [...nodes],
      initializer: [...weights, ...constants, int64('overridable', 1)],
      input: inputs,
    },
  }).finish();
  return (await open(bytes)).graph;
}

/** Constants by what they hold: `int_-1` and so on. */
const NUMBERS = [-3, -2, -1, 0, 1, 2, 3, 2 ** 53 - 1].map((value) => int64(`int_${value}`, value));

describe('tokenReadings of the shape of [batch, tokens, width]', () => {
  for (const [title, reader, shape, seesTokens] of [
    ['Gather 0, the batch', node('Gather', ['s', 'int_0'], 'r'), {}, false],
    ['Gather 1, the tokens', node('Gather', ['s', 'int_1'], 'r'), {}, true],
    ['Gather 2, the width', node('Gather', ['s', 'int_2'], 'r'), {}, false],
    ['Gather -1, the width', node('Gather', ['s', 'int_-1'], 'r'), {}, false],
    ['Gather -2, the tokens', node('Gather', ['s', 'int_-2'], 'r'), {}, true],
    ['Gather -3, the batch', node('Gather', ['s', 'int_-3'], 'r'), {}, false],
    ['Gather of an index that is not known', node('Gather', ['s', 'unknown'], 'r'), {}, true],
    ['Gather of an index that a caller may override', node('Gather', ['s', 'overridable'], 'r'), {}, true],
    ['Slice 0:1', node('Slice', ['s', 'int_0', 'int_1', 'int_0'], 'r'), {}, false],
    ['Slice 1:2', node('Slice', ['s', 'int_1', 'int_2', 'int_0'], 'r'), {}, true],
    ['Slice 2:3', node('Slice', ['s', 'int_2', 'int_3', 'int_0'], 'r'), {}, false],
    ['Slice 0:2', node('Slice', ['s', 'int_0', 'int_2', 'int_0'], 'r'), {}, true],
    ['Slice -1: to the end', node('Slice', ['s', 'int_-1', `int_${2 ** 53 - 1}`], 'r'), {}, false],
    ['Slice -2: to the end', node('Slice', ['s', 'int_-2', `int_${2 ** 53 - 1}`], 'r'), {}, true],
    ['Slice :-2', node('Slice', ['s', 'int_0', 'int_-2'], 'r'), {}, false],
    ['Slice with a step of 1', node('Slice', ['s', 'int_2', 'int_3', 'int_0', 'int_1'], 'r'), {}, false],
    ['Slice with a step of 2', node('Slice', ['s', 'int_0', 'int_3', 'int_0', 'int_2'], 'r'), {}, true],
    ['Slice from an unknown start', node('Slice', ['s', 'unknown', 'int_1'], 'r'), {}, true],
    ['Slice of old, bounds as attributes', node('Slice', ['s'], 'r'), {}, true],
    ['the whole shape, into a Reshape', node('Reshape', ['query', 's'], 'r'), {}, true],
    ['Gather 0 of Shape(start=1)', node('Gather', ['s', 'int_0'], 'r'), { start: 1 }, true],
    ['Gather 1 of Shape(start=1)', node('Gather', ['s', 'int_1'], 'r'), { start: 1 }, false],
    ['Gather 0 of Shape(start=-1)', node('Gather', ['s', 'int_0'], 'r'), { start: -1 }, false],
    ['Gather 0 of Shape(end=1)', node('Gather', ['s', 'int_0'], 'r'), { end: 1 }, false],
    ['Gather -1 of Shape(end=2)', node('Gather', ['s', 'int_-1'], 'r'), { end: 2 }, true],
    ['Gather -1 of Shape(end=-1)', node('Gather', ['s', 'int_-1'], 'r'), { end: -1 }, true],
  ] as const) {
    it(`${title}: ${seesTokens ? 'may see the token count' : 'does not'}`, async () => {
      const graph = await graphOf([node('Shape', ['text'], 's', shape), reader], NUMBERS);
      assert.equal(tokenReadings(graph, graph.producer('s')!).length, seesTokens ? 1 : 0);
    });
  }
});

describe('downstream', () => {
  const attention = [
    node('Shape', ['k'], 's'),
    node('Gather', ['s', 'int_0'], 'batch'),
    node('Gather', ['s', 'int_1'], 'tokens'),
    node('Reshape', ['k', 'tokens'], 'split'),
    node('MatMul', ['query', 'split'], 'scores'),
    node('Softmax', ['scores'], 'weights'),
    node('MatMul', ['weights', 'v'], 'mixed'),
    node('Reshape', ['mixed', 'batch'], 'merged'),
    node('MatMul', ['merged', 'to_out'], 'out'),
    node('Add', ['out', 'bias'], 'result'),
  ];
  const nodes = [node('MatMul', ['text', 'to_k'], 'k'), node('MatMul', ['text', 'to_v'], 'v'), ...attention];

  it('of a key follows it and its token count to the next weight, and does not follow its batch', async () => {
    const found = downstream(await graphOf(nodes, NUMBERS), 'k');
    assert.deepEqual(
      new Set([...found.nodes].map(({ id }) => id)),
      new Set(['s', 'tokens', 'split', 'scores', 'weights', 'mixed', 'merged']),
    );
    assert.deepEqual(
      found.exits.map((use) => [use.node.id, use.input]),
      [['out', 0]],
    );
  });

  it('of the text stops at to_k and to_v', async () => {
    const { nodes: followed, exits } = downstream(await graphOf(nodes, NUMBERS), 'text');
    assert.equal(followed.size, 0);
    assert.deepEqual(exits.map((use) => use.node.id).sort(), ['k', 'v']);
  });

  it('leadingTo keeps what the exit depends on, in topological order', async () => {
    const graph = await graphOf([...nodes, node('Relu', ['scores'], 'aside')], NUMBERS);
    const { nodes: followed } = downstream(graph, 'k');
    assert.ok([...followed].some(({ id }) => id === 'aside'));
    assert.deepEqual(
      leadingTo(graph, 'merged', followed).map(({ id }) => id),
      ['s', 'tokens', 'split', 'scores', 'weights', 'mixed', 'merged'],
    );
  });
});

describe('constants', () => {
  const graph = graphOf(
    [
      node('Transpose', ['to_k'], 'transposed'),
      node('Identity', ['int_2'], 'same'),
      node('MatMul', ['query', 'transposed'], 'linear'),
      node('MatMul', ['query', 'text'], 'product'),
      node('Gemm', ['query', 'overridable', 'bias'], 'overridden'),
      node('Relu', ['to_k'], 'activated'),
      node('Constant', [], 'seven', { value_int: 7 }),
    ],
    NUMBERS,
  );

  for (const [value, constant] of [
    ['to_k', true],
    ['transposed', true],
    ['text', false],
    ['overridable', false],
    ['linear', false],
    ['nothing', false],
  ] as const) {
    it(`${value} is ${constant ? '' : 'no '}constant`, async () => {
      assert.equal(isConstant(await graph, value), constant);
    });
  }

  for (const [value, weight] of [
    ['linear', 'transposed'],
    ['product', undefined],
    ['overridden', undefined],
    ['activated', undefined],
  ] as const) {
    it(`the weight of ${value} is ${weight}`, async () => {
      const found = await graph;
      assert.equal(weightOf(found, found.producer(value)!), weight);
    });
  }

  for (const [value, integers] of [
    ['int_-1', [-1]],
    ['same', [2]],
    ['seven', [7]],
    ['overridable', undefined],
    ['text', undefined],
  ] as const) {
    it(`the integers of ${value} are ${integers}`, async () => {
      assert.deepEqual(constantIntegers(await graph, value), integers);
    });
  }
});
