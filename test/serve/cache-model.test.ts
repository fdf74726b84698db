import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServedModel } from '../../runtime/serve/backend.js';
import { cachedModel } from '../../runtime/serve/cache/cached-model.js';
import { ResponseCache } from '../../runtime/serve/cache/response-cache.js';
import { echoModel, failing, untilCancelled } from './echo-model.js';
import { until } from './processes.js';
import { tensor } from './tensors.js';

const INPUTS = ['a', 'b'].map((name) => ({ name, datatype: 'FP32', shape: [-1], optional: true }) as const);
const a = (...numbers: number[]) => tensor('a', 'FP32', [numbers.length], Float32Array.from(numbers));
const b = (...numbers: number[]) => tensor('b', 'FP32', [numbers.length], Float32Array.from(numbers));

/** A model whose answers are kept, that counts how often it runs. */
function kept(limit = 2 ** 20) {
  const cache = new ResponseCache(limit);
  const echo = echoModel(INPUTS);
  let runs = 0;
  const counted: ServedModel = {
    ...echo,
    infer(...asked) {
      runs++;
      return echo.infer(...asked);
    },
  };
  return { cache, echo, counted, model: cachedModel(counted, cache), runs: () => runs };
}

const outputs = { outputs: ['a_out'] };

describe('a model whose answers are kept', () => {
  it('runs once for the same content, whatever buffer it lies in and in whatever order inputs come', async () => {
    const { model, runs } = kept();
    const first = await model.infer([a(1, 2), b(3)], outputs);
    const again = await model.infer([b(3), a(1, 2)], outputs);
    assert.deepEqual(again.outputs, first.outputs);
    assert.equal(runs(), 1);
    assert.equal(first.times.cache?.hit, false);
    assert.equal(first.times.computeInfer, 3_000_000);
    const { hit, ns } = again.times.cache!;
    assert.ok(hit && ns > 0);
    assert.deepEqual(
      { ...again.times, cache: undefined },
      {
        queue: 0,
        computeInput: 0,
        computeInfer: 0,
        computeOutput: 0,
        cache: undefined,
      },
    );
  });

  it('runs again for other bytes, shape, datatype, name or outputs', async () => {
    const { model, runs } = kept();
    const [one] = [a(1, 2)];
    const others = [
      [[a(1, 2)], outputs],
      [[a(1, 3)], outputs],
      [[{ ...one!, shape: [2, 1] }], outputs],
      [[{ ...one!, datatype: 'INT32' }], outputs],
      [[b(1, 2)], outputs],
      [[a(1, 2), b()], outputs],
      [[a(1, 2)], { outputs: ['b_out'] }],
      [[a(1, 2)], {}],
    ] as const;
    for (const [inputs, options] of others) await model.infer(inputs, options);
    assert.equal(runs(), others.length);
  });

  it('shares a run that is under way; who leaves ends it for nobody else', async () => {
    const { model, echo, runs } = kept();
    let finish: () => void = () => {};
    echo.next.push(() => new Promise((resolve) => (finish = resolve)));
    const gone = new AbortController();
    const leaves = model.infer([a(1)], { ...outputs, signal: gone.signal });
    const late = model.infer([a(1)], { ...outputs, timeout: 30 });
    const stays = [model.infer([a(1)], outputs), model.infer([a(1)], { ...outputs, timeout: 10_000 })];
    await until(() => echo.load.running === 1);
    await sleep(5);
    gone.abort();
    await assert.rejects(leaves, { code: 'SERVER_CANCELLED' });
    await assert.rejects(late, { code: 'SERVER_TIMEOUT' });
    finish();
    const answers = await Promise.all(stays);
    assert.equal(runs(), 1);
    assert.deepEqual(answers[0]!.outputs, answers[1]!.outputs);
    // The run is counted once, though the one who began it has left.
    assert.deepEqual(answers.map(({ times }) => times.cache!.hit).sort(), [false, true]);
    const joined = answers.find(({ times }) => times.cache!.hit)!;
    assert.ok(joined.times.queue > 20e6, `${joined.times.queue}`);
  });

  it('gives up a run that nobody waits for, and starts another for who comes after', async () => {
    const { model, echo, runs } = kept();
    echo.next.push(untilCancelled());
    const gone = new AbortController();
    const leaves = model.infer([a(1)], { ...outputs, signal: gone.signal });
    await until(() => echo.load.running === 1);
    gone.abort();
    const after = model.infer([a(1)], outputs);
    await assert.rejects(leaves, { code: 'SERVER_CANCELLED' });
    assert.equal((await after).outputs.length, 1);
    assert.equal(runs(), 2);
    await assert.rejects(model.infer([a(1)], { ...outputs, signal: gone.signal }), {
      code: 'SERVER_CANCELLED',
    });
  });

  it('keeps no error', async () => {
    const { model, echo, runs, cache } = kept();
    echo.next.push(failing('RUNTIME_RUN', 'no'));
    await assert.rejects(model.infer([a(1)], outputs), { code: 'RUNTIME_RUN' });
    assert.equal(cache.size, 0);
    assert.equal((await model.infer([a(1)], outputs)).times.cache!.hit, false);
    assert.equal(runs(), 2);
  });

  it('stays within its memory: what was not asked for longest goes, what is too large is not kept', async () => {
    const answer = 40_000;
    const { model, runs, cache } = kept(3 * (answer + 1024));
    const image = (seed: number) => a(...new Array(answer / 4).fill(seed));
    for (const seed of [1, 2, 3, 1, 4]) await model.infer([image(seed)], outputs);
    assert.deepEqual([runs(), cache.size], [4, 3]);
    assert.ok(cache.bytes <= cache.limit, `${cache.bytes}`);
    for (const seed of [1, 3, 4])
      assert.equal((await model.infer([image(seed)], outputs)).times.cache!.hit, true);
    assert.equal((await model.infer([image(2)], outputs)).times.cache!.hit, false);
    await model.infer([a(...new Array(answer).fill(0))], outputs);
    assert.equal(cache.size, 3);
  });

  it('counts the buffer that a tensor is a view of, once', async () => {
    const cache = new ResponseCache(2 ** 20);
    const [buffer] = [new Uint8Array(10_000)];
    const views = ['x', 'y'].map(
      (name, i) =>
        ({ name, datatype: 'UINT8', shape: [8], data: buffer!.subarray(i * 8, i * 8 + 8) }) as const,
    );
    cache.shelf().set('k', views);
    assert.equal(cache.bytes, 10_000 + 1024);
  });

  it('forgets its answers when it is closed, and those that come later; other models keep theirs', async () => {
    const { cache, counted, model, echo } = kept();
    const other = cachedModel(counted, cache);
    await model.infer([a(1)], outputs);
    assert.equal((await other.infer([a(1)], outputs)).times.cache!.hit, false);
    assert.equal(cache.size, 2);
    let finish: () => void = () => {};
    echo.next.push(() => new Promise((resolve) => (finish = resolve)));
    const running = model.infer([a(2)], outputs);
    await until(() => echo.load.running === 1);
    await model.close();
    assert.deepEqual([cache.size, echo.closed], [1, 1]);
    finish();
    await running;
    assert.equal(cache.size, 1);
    assert.equal((await other.infer([a(1)], outputs)).times.cache!.hit, true);
  });
});
