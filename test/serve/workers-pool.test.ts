import assert from 'node:assert/strict';
import type { ServedModel } from '../../runtime/serve/backend.js';
import { type ServeOptions, serveModel } from '../../runtime/serve/workers/serve-model.js';
import { refusal } from '../refusal.js';
import { isAlive, until, workersOf } from './processes.js';
import { countingModel } from './small-models.js';
import { floatsOf, rounds } from './tensors.js';

const model = countingModel();
/** Longer than any test waits. */
const FOREVER = 10n ** 15n;

describe('workers', () => {
  let served: ServedModel;
  const serve = async (options: ServeOptions = {}) => {
    served = await serveModel(model, { threads: 1, ...options });
    return served;
  };
  const count = async (n: number) => floatsOf((await served.infer(rounds(n))).outputs[0]!)[0];

  afterEach(async () => {
    await served.close(0);
    assert.deepEqual(workersOf(), []);
  });

  it('answer while the event loop goes on', async () => {
    await serve();
    let ticks = 0;
    const timer = setInterval(() => {
      ticks += 1;
    }, 5);
    const { times } = await served.infer(rounds(300_000));
    clearInterval(timer);
    assert.ok(times.computeInfer > 50e6, `${times.computeInfer} ns`);
    assert.ok(ticks > times.computeInfer / 20e6, `${ticks} ticks`);
  });

  it('queue what they cannot run at once, in its order, and refuse what the queue does not hold', async () => {
    await serve({ queueSize: 2 });
    const done: number[] = [];
    const first = served.infer(rounds(200_000)).then(() => done.push(1));
    const waiting = [2, 3].map((n) => served.infer(rounds(n)).then(() => done.push(n)));
    assert.deepEqual(served.load, { waiting: 2, running: 1 });
    await assert.rejects(served.infer(rounds(4)), refusal('SERVER_BUSY'));
    await Promise.all([first, ...waiting]);
    assert.deepEqual(done, [1, 2, 3]);
    assert.deepEqual(served.load, { waiting: 0, running: 0 });
    const { times } = await served.infer(rounds(5));
    assert.ok(times.queue >= 0 && times.computeInput > 0 && times.computeOutput > 0);
  });

  it('run beside each other', async () => {
    await serve({ workers: 2 });
    const long = assert.rejects(served.infer(rounds(FOREVER)), refusal('SERVER_CANCELLED'));
    assert.equal(await count(3), 3);
    assert.deepEqual(served.load, { waiting: 0, running: 1 });
    await served.close(0);
    await long;
  });

  it('are replaced when a run takes too long', async () => {
    await serve({ runTimeout: 200 });
    const [before] = workersOf();
    await assert.rejects(served.infer(rounds(FOREVER)), refusal('SERVER_TIMEOUT'));
    assert.equal(await count(7), 7);
    const [after] = workersOf();
    assert.ok(after !== before && !isAlive(before!));
  });

  it('give up what waits longer than it may, and run the rest', async () => {
    await serve();
    const long = served.infer(rounds(300_000));
    const [pid] = workersOf();
    await assert.rejects(
      served.infer(rounds(1), { timeout: 20 }),
      (error: Error) => refusal('SERVER_TIMEOUT')(error) && /the queue/.test(error.message),
    );
    assert.deepEqual(served.load, { waiting: 0, running: 1 });
    assert.equal(floatsOf((await long).outputs[0]!)[0], 300_000);
    assert.deepEqual(workersOf(), [pid]);
  });

  it('drop what is cancelled: at once, in the queue, and in the middle of a run', async () => {
    await serve({ workers: 2 });
    await assert.rejects(
      served.infer(rounds(1), { signal: AbortSignal.abort() }),
      refusal('SERVER_CANCELLED'),
    );
    const [running, waiting] = [new AbortController(), new AbortController()];
    const cancelled = served.infer(rounds(FOREVER), { signal: running.signal });
    const other = served.infer(rounds(400_000, 0.5));
    const queued = served.infer(rounds(1), { signal: waiting.signal });
    const behind = served.infer(rounds(2));
    const before = workersOf();
    waiting.abort();
    await assert.rejects(queued, refusal('SERVER_CANCELLED'));
    assert.deepEqual(served.load, { waiting: 1, running: 2 });
    running.abort();
    await assert.rejects(cancelled, refusal('SERVER_CANCELLED'));
    assert.equal(floatsOf((await behind).outputs[0]!)[0], 2);
    assert.equal(floatsOf((await other).outputs[0]!)[0], 400_000.5);
    await until(() => workersOf().length === 2);
    assert.equal(workersOf().filter((pid) => before.includes(pid)).length, 1);
  });

  it('lose one request when one of them dies, and nothing else', async () => {
    await serve();
    const lost = served.infer(rounds(FOREVER));
    const queued = [1, 2].map((n) => served.infer(rounds(n)));
    const [pid] = workersOf();
    process.kill(pid!, 'SIGKILL');
    await assert.rejects(
      lost,
      (error: Error) => refusal('SERVER_WORKER_LOST')(error) && /SIGKILL/.test(error.message),
    );
    const answers = await Promise.all(queued);
    assert.deepEqual(
      answers.map(({ outputs }) => floatsOf(outputs[0]!)[0]),
      [1, 2],
    );
  });

  it('are replaced when they die or stop without having anything to do', async () => {
    await serve({ workers: 2, runTimeout: 500 });
    const [first, second] = workersOf();
    process.kill(first!, 'SIGKILL');
    await until(() => !isAlive(first!) && workersOf().length === 2);
    process.kill(second!, 'SIGSTOP');
    const answers = await Promise.allSettled([1, 2].map(count));
    assert.deepEqual(answers.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
    await until(() => !isAlive(second!) && workersOf().length === 2);
    assert.equal(await count(9), 9);
  });

  it('finish what they were given before they close, for as long as they may', async () => {
    await serve();
    const given = [served.infer(rounds(200_000)), served.infer(rounds(2))];
    const closed = served.close(20_000);
    await assert.rejects(served.infer(rounds(3)), refusal('SERVER_BUSY'));
    const answers = await Promise.all(given);
    assert.equal(floatsOf(answers[1]!.outputs[0]!)[0], 2);
    await closed;
    assert.deepEqual(workersOf(), []);

    await serve();
    const endless = [FOREVER, 1].map((n) =>
      assert.rejects(served.infer(rounds(n)), refusal('SERVER_CANCELLED')),
    );
    await served.close(100);
    await Promise.all(endless);
  });

  it('close at once when they are told to while they close', async () => {
    await serve();
    const endless = assert.rejects(served.infer(rounds(FOREVER)), refusal('SERVER_CANCELLED'));
    const slowly = served.close(60_000);
    await served.close(0);
    await Promise.all([slowly, endless]);
  });

  it('leave nothing behind after 200 requests with kills', async () => {
    await serve({ workers: 2 });
    const handles = () => process.getActiveResourcesInfo().length;
    await count(1);
    const before = handles();
    for (let round = 0; round < 20; round++) {
      const stop = new AbortController();
      const killed = served.infer(rounds(FOREVER), { signal: stop.signal });
      const answered = Array.from({ length: 9 }, (_, n) => count(n));
      stop.abort();
      await assert.rejects(killed, refusal('SERVER_CANCELLED'));
      assert.deepEqual(await Promise.all(answered), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
    await until(() => workersOf().length === 2 && handles() <= before);
  });
});
