import assert from 'node:assert/strict';
import type { ModelInterface } from '../../runtime/serve/backend.js';
import { parseConfig } from '../../runtime/serve/config/parse-config.js';
import { checkEnsemble } from '../../runtime/serve/ensemble/check-ensemble.js';

/** `x` [b, 3] and an optional `bias` [1] → `y` [b, 4], `z` [b]. */
const MODEL: ModelInterface = {
  inputs: [
    { name: 'x', datatype: 'FP32', shape: [-1, 3], optional: false },
    { name: 'bias', datatype: 'FP32', shape: [], optional: true },
  ],
  outputs: [
    { name: 'y', datatype: 'FP32', shape: [-1, 4] },
    { name: 'z', datatype: 'INT64', shape: [-1] },
  ],
};
/** `y` of any rank → `sum` []. */
const SUM: ModelInterface = {
  inputs: [{ name: 'y', datatype: 'FP32', shape: [], optional: false, anyShape: true }],
  outputs: [{ name: 'sum', datatype: 'FP32', shape: [] }],
};

const IN = 'input { name: "IN" data_type: TYPE_FP32 dims: [-1, 3] }';
const OUT = 'output { name: "OUT" data_type: TYPE_FP32 dims: [-1, 4] }';
const step = (model: string, inputs: Record<string, string>, outputs: Record<string, string>) => {
  const maps = (name: string, map: Record<string, string>) =>
    Object.entries(map)
      .map(([key, value]) => `${name} { key: "${key}" value: "${value}" }`)
      .join(' ');
  return `step { model_name: "${model}" ${maps('input_map', inputs)} ${maps('output_map', outputs)} }`;
};
const check = (tensors: string, steps: readonly string[], maxBatchSize = 0) =>
  checkEnsemble(
    'e',
    parseConfig(`${tensors} ensemble_scheduling { ${steps.join(' ')} }`, 'e'),
    ({ model }) => ({
      model: model === 'sum' ? SUM : MODEL,
      config: { maxBatchSize },
    }),
  );

describe('what an ensemble must be', () => {
  it('steps in any order, a tensor read by several, scalars as [1], free ranks, batches', () => {
    const total = 'output { name: "TOTAL" data_type: TYPE_FP32 dims: [1] }';
    check(`${IN} ${OUT} ${total}`, [
      step('sum', { y: 'OUT' }, { sum: 'TOTAL' }),
      step('m', { x: 'IN' }, { y: 'OUT' }),
      step('m', { x: 'IN', bias: 'TOTAL' }, { z: 'unread' }),
    ]);
    check(
      `max_batch_size: 4 ${IN.replace('[-1, 3]', '[3]')} ${OUT.replace('[-1, 4]', '[4]')}`,
      [step('m', { x: 'IN' }, { y: 'OUT' })],
      4,
    );
  });

  for (const [what, tensors, steps, message] of [
    ['an ensemble without outputs', IN, [step('m', { x: 'IN' }, {})], /sought output/],
    ['one without inputs', OUT, [step('m', { x: 'IN' }, {})], /sought input/],
    [
      'an output that no step makes',
      `${IN} ${OUT}`,
      [step('m', { x: 'IN' }, {})],
      /output “OUT”: no step makes it/,
    ],
    [
      'an output that is an input',
      `${IN} ${OUT.replace('OUT', 'IN')}`,
      [step('m', { x: 'IN' }, {})],
      /output “IN”: no step makes it/,
    ],
    [
      'a tensor that is made twice',
      `${IN} ${OUT}`,
      [step('m', { x: 'IN' }, { y: 'OUT' }), step('m', { x: 'IN' }, { y: 'OUT' })],
      /tensor “OUT” is made twice/,
    ],
    [
      'an input that is not mapped',
      `${IN} ${OUT}`,
      [step('m', {}, { y: 'OUT' })],
      /step “m”: its input “x” is not mapped/,
    ],
    [
      'an input that is none',
      `${IN} ${OUT}`,
      [step('m', { x: 'IN', q: 'IN' }, { y: 'OUT' })],
      /no input “q”: sought one of x, bias/,
    ],
    [
      'an output that is none',
      `${IN} ${OUT}`,
      [step('m', { x: 'IN' }, { q: 'OUT' })],
      /no output “q”: sought one of y, z/,
    ],
    [
      'a tensor from nowhere',
      `${IN} ${OUT}`,
      [step('m', { x: 'NO' }, { y: 'OUT' })],
      /tensor “NO” is neither an input nor made/,
    ],
    [
      'another datatype',
      `${IN.replace('FP32', 'FP16')} ${OUT}`,
      [step('m', { x: 'IN' }, { y: 'OUT' })],
      /tensor “IN” for input “x” of “m”: sought FP32 \[-1, 3\], found FP16 \[-1, 3\]/,
    ],
    [
      'another size between steps',
      `${IN} ${OUT}`,
      [step('m', { x: 'IN' }, { y: 't' }), step('m', { x: 't' }, { y: 'OUT' })],
      /tensor “t” for input “x” of “m”: sought FP32 \[-1, 3\], found FP32 \[-1, 4\]/,
    ],
    [
      'another rank of an output',
      `${IN} ${OUT.replace('[-1, 4]', '[4]')}`,
      [step('m', { x: 'IN' }, { y: 'OUT' })],
      /output “OUT”: sought FP32 \[4\], found FP32 \[-1, 4\]/,
    ],
    [
      'a circle',
      `${IN} ${OUT}`,
      [step('m', { x: 'IN', bias: 'total' }, { y: 'OUT' }), step('sum', { y: 'OUT' }, { sum: 'total' })],
      /step “m” reads what is made of its own outputs/,
    ],
    [
      'a larger batch than a model takes',
      `max_batch_size: 8 ${IN.replace('[-1, 3]', '[3]')} ${OUT.replace('[-1, 4]', '[4]')}`,
      [step('m', { x: 'IN' }, { y: 'OUT' })],
      /max_batch_size: sought 2 at most, that of “m”, found 8/,
    ],
  ] as const)
    it(`refuses ${what}`, () => {
      assert.throws(() => check(tensors, steps, 2), { code: 'SERVER_CONFIG', message });
    });
});
