import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { printable } from '../../compiler/printable.js';
import { parseConfig } from '../../runtime/serve/config/parse-config.js';
import { readConfig } from '../../runtime/serve/config/read-config.js';
import { freshFolder } from '../fixtures.js';

const parse = (text: string) => parseConfig(text, 'm');

describe('config.pbtxt', () => {
  it('is read in every way that the text format is written', () => {
    const config = parse(`
      # A comment
      name: 'm'  platform: "onnx" "runtime_onnx"  # and one behind
      max_batch_size: 8
      input [ { name: "x", data_type: TYPE_FP32, dims: [ 3, -1 ] }, { name: "y"; data_type: TYPE_INT64; dims: 1 } ]
      input: < name: 'z' data_type: TYPE_STRING dims: [2] optional: true >
      output { name: "o" data_type: TYPE_FP16 dims: 4 dims: 5 }
      instance_group [ { count: 2 kind: KIND_CPU }, { count: 1 } ]
      parameters: { key: "intra_op_thread_count" value: { string_value: "3" } }
      dynamic_batching { default_queue_policy { max_queue_size: 7 default_timeout_microseconds: 1500 } }
      version_policy: { specific: { versions: [ 1, 3 ] } }
      response_cache { enable: true }
      default_model_filename: "other.onnx"
    `);
    assert.deepEqual(config.inputs, [
      { name: 'x', datatype: 'FP32', dims: [3, -1], optional: false },
      { name: 'y', datatype: 'INT64', dims: [1], optional: false },
      { name: 'z', datatype: 'BYTES', dims: [2], optional: true },
    ]);
    assert.deepEqual(config.outputs, [{ name: 'o', datatype: 'FP16', dims: [4, 5], optional: false }]);
    const {
      maxBatchSize,
      workers,
      threads,
      queueSize,
      timeout,
      versions,
      responseCache,
      filename,
      isEnsemble,
    } = config;
    assert.deepEqual(
      { maxBatchSize, workers, threads, queueSize, timeout, versions, responseCache, filename, isEnsemble },
      {
        maxBatchSize: 8,
        workers: 3,
        threads: 3,
        queueSize: 7,
        timeout: 1.5,
        versions: ['1', '3'],
        responseCache: true,
        filename: 'other.onnx',
        isEnsemble: false,
      },
    );
  });

  it('what has no effect is listed', () => {
    assert.deepEqual(parse('backend: "onnxruntime"').unused, []);
    assert.deepEqual(
      parse(`
        optimization { graph { level: 1 } execution_accelerators { gpu_execution_accelerator : [ {
          name : "tensorrt" parameters { key: "precision_mode" value: "FP16" } } ] } }
        instance_group [ { kind: KIND_GPU gpus: [ 0, 1 ] count: 1 } ]
        parameters { key: "execution_mode" value: { string_value: "0" } }
        metric_tags { key: "a" value: "b" }
        dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
        version_policy { all { } }
      `).unused,
      [
        'optimization',
        'metric_tags',
        'version_policy (of several versions the highest is served)',
        'dynamic_batching (but its default_queue_policy)',
        'instance_group: kind',
        'parameter execution_mode',
      ],
    );
  });

  it('steps and warm-up', () => {
    const { steps, isEnsemble } = parse(`
      platform: "ensemble"
      ensemble_scheduling { step [ { model_name: "a" model_version: -1
        input_map { key: "in" value: "x" } output_map [ { key: "o1" value: "t" }, { key: "o2" value: "y" } ] },
        { model_name: "b" model_version: 2 } ] }
    `);
    assert.deepEqual(
      [isEnsemble, ...steps],
      [
        true,
        {
          model: 'a',
          version: undefined,
          inputs: new Map([['in', 'x']]),
          outputs: new Map([
            ['o1', 't'],
            ['o2', 'y'],
          ]),
        },
        { model: 'b', version: '2', inputs: new Map(), outputs: new Map() },
      ],
    );
    const { warmup } = parse(`
      max_batch_size: 4
      model_warmup [ { name: "w" batch_size: 2 count: 3 inputs { key: "x" value: { data_type: TYPE_BOOL dims: [3] random_data: true } } },
        { name: "v" inputs: { key: "x" value { data_type: TYPE_BOOL dims: 0 zero_data: true } } } ]
    `);
    assert.deepEqual(warmup, [
      {
        name: 'w',
        batchSize: 2,
        count: 3,
        inputs: [{ name: 'x', datatype: 'BOOL', dims: [3], data: 'random' }],
      },
      {
        name: 'v',
        batchSize: 1,
        count: 1,
        inputs: [{ name: 'x', datatype: 'BOOL', dims: [0], data: 'zero' }],
      },
    ]);
  });

  for (const [text, message] of [
    ['name: "other"', /^config\.pbtxt of model “m”: name: sought the name of its folder, found “other”$/],
    [
      'platform: "tensorrt_plan"',
      /platform: sought “onnxruntime_onnx”, or “ensemble” .*, found “tensorrt_plan”/,
    ],
    ['backend: "python"', /backend: sought “onnxruntime”, found “python”/],
    ['platform: "ensemble"', /platform: sought “onnxruntime_onnx”/],
    [
      'platform: "onnxruntime_onnx" ensemble_scheduling { step { model_name: "a" } }',
      /platform: sought “ensemble”/,
    ],
    ['backend: "onnxruntime" ensemble_scheduling { step { model_name: "a" } }', /backend: sought none/],
    ['ensemble_scheduling { }', /sought a step/],
    ['ensemble_scheduling { step { } }', /sought a model_name/],
    [
      'ensemble_scheduling { step { model_name: "a" model_version: 0 } }',
      /model_version from 1, or -1, found 0/,
    ],
    [
      'ensemble_scheduling { step { model_name: "a" } } instance_group { }',
      /an ensemble has neither instance_group/,
    ],
    [
      'ensemble_scheduling { step { model_name: "a" } } response_cache { enable: true }',
      /response_cache: not of an ensemble/,
    ],
    [
      'sequence_batching { control_input [ { name: "START" } ] state { } }',
      /sequence_batching is not served/,
    ],
    ['model_operations { op_library_filename: "/lib/x.so" }', /model_operations is not served/],
    ['model_repository_agents { agents [ { name: "checksum" } ] }', /model_repository_agents is not served/],
    ['batch_input [ { kind: BATCH_ITEM_SHAPE } ]', /batch_input is not served/],
    ['model_transaction_policy { decoupled: true }', /decoupled models are not served/],
    ['dynamic_batching { } sequence_batching { }', /choice: multiple values/],
    [
      'input { name: "x" data_type: TYPE_FP32 dims: [2, 3] reshape { shape: [6] } }',
      /“x”: reshape, .* is not served/,
    ],
    [
      'input { name: "x" data_type: TYPE_FP32 dims: 1 is_shape_tensor: true }',
      /is_shape_tensor is not served/,
    ],
    ['input { data_type: TYPE_FP32 dims: 1 }', /input: sought a name/],
    ['input { name: "x" dims: 1 }', /input “x”: sought a data_type, found none/],
    [
      'output { name: "x" data_type: TYPE_INVALID dims: 1 }',
      /output “x”: sought a data_type, found TYPE_INVALID/,
    ],
    ['input { name: "x" data_type: TYPE_FP32 }', /sought dims above 0 or -1, found \[\]/],
    ['input { name: "x" data_type: TYPE_FP32 dims: [0] }', /found \[0\]/],
    ['input { name: "x" data_type: TYPE_FP32 dims: [9223372036854775807] }', /sought dims above 0/],
    [
      'input { name: "x" data_type: TYPE_FP32 dims: 1 } input { name: "x" data_type: TYPE_FP32 dims: 1 }',
      /“x” is there twice/,
    ],
    ['max_batch_size: -1', /max_batch_size: sought 0 or more, found -1/],
    ['instance_group { count: 1000000000 }', /sought 256 instances at most, found 1000000000/],
    ['instance_group { count: -1 }', /instance_group: count: sought 1 or more/],
    [
      'parameters { key: "intra_op_thread_count" value { string_value: "many" } }',
      /intra_op_thread_count: .* found “many”/,
    ],
    [
      'default_model_filename: "../../etc/passwd"',
      /default_model_filename: .* found “\.\.\/\.\.\/etc\/passwd”/,
    ],
    ['default_model_filename: ".."', /default_model_filename/],
    ['version_policy { specific { } }', /version_policy: sought versions from 1, found none/],
    ['version_policy { specific { versions: [0] } }', /version_policy: sought versions from 1, found 0/],
    [
      'model_warmup { name: "w" inputs { key: "x" value { data_type: TYPE_FP32 dims: 1 input_data_file: "f" } } }',
      /“w”: input “x”: sought zero_data or random_data/,
    ],
    ['model_warmup { name: "w" batch_size: 2 }', /“w”: sought a batch_size up to 1, found 2/],
    // What no configuration is, and what tries to be more than one.
    ['max_batch_size: 1 max_batch_size: 2', /multiple values/],
    [
      'nothing_of_triton: 1',
      /unknown field 'nothing_of_triton' \(line 1\)|unknown field 'nothing_of_triton'/,
    ],
    ['__proto__ { isAdmin: true }', /unknown field '__proto__'/],
    ['constructor: "x"', /unknown field 'constructor'/],
    ['max_batch_size: "8"', /config\.pbtxt of model “m”: /],
    ['input { name: "x"', /expected '}'/],
    ['name: "a\u0007b"', /found “a\\u\{7\}b”/],
    [`optimization { graph ${'{'.repeat(100_000)}`, /max depth exceeded/],
    [`optimization { graph ${'['.repeat(100_000)}`, /max depth exceeded/],
    ['{"name": "m"}', /illegal field name '\{'/],
    ['\u0000\u0001', /config\.pbtxt of model “m”: /],
  ] as const)
    it(`refuses ${printable(text.slice(0, 70))}`, () => {
      assert.throws(() => parse(text), { code: 'SERVER_CONFIG', message });
    });

  it('names of prototypes are names', () => {
    const { steps, unused } = parse(`
      ensemble_scheduling { step { model_name: "a" input_map { key: "__proto__" value: "x" } } }
      parameters { key: "__proto__" value { string_value: "y" } }
    `);
    assert.deepEqual([...steps[0]!.inputs], [['__proto__', 'x']]);
    assert.deepEqual(unused, ['parameter __proto__']);
    assert.equal(({} as { string_value?: string }).string_value, undefined);
  });

  it('files that are none, too long or no text are refused; where there is none, all is as the model says', async () => {
    const folder = freshFolder();
    const path = join(folder, 'config.pbtxt');
    assert.equal((await readConfig(folder, 'm')).filename, 'model.onnx');
    writeFileSync(path, Buffer.from([0x23, 0xff]));
    await assert.rejects(readConfig(folder, 'm'), { code: 'SERVER_CONFIG', message: /it is not UTF-8/ });
    writeFileSync(path, '#'.repeat(300_000));
    await assert.rejects(readConfig(folder, 'm'), {
      code: 'SERVER_CONFIG',
      message: /262144 bytes at most, found 300000/,
    });
    const other = freshFolder();
    mkdirSync(join(other, 'config.pbtxt'));
    await assert.rejects(readConfig(other, 'm'), { code: 'SERVER_CONFIG', message: /sought a file/ });
  });
});
