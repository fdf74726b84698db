import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { SharedRun } from '../../runtime/serve/cache/shared-run.js';

/** A run that ends when it is told to. */
function controlled() {
  let finish!: { resolve(value: string): void; reject(error: Error): void };
  let signal!: AbortSignal;
  let abandoned = 0;
  const run = new SharedRun(
    (given) => {
      signal = given;
      return new Promise<string>((resolve, reject) => {
        finish = { resolve, reject };
      });
    },
    () => abandoned++,
  );
  return { run, finish, signal, abandoned: () => abandoned };
}

describe('a run that several wait for', () => {
  it('gives all of them its result, or its error', async () => {
    const good = controlled();
    const waits = [
      good.run.wait({}),
      good.run.wait({ timeout: 10_000 }),
      good.run.wait({ signal: new AbortController().signal }),
    ];
    good.finish.resolve('done');
    assert.deepEqual(await Promise.all(waits), ['done', 'done', 'done']);
    const bad = controlled();
    const failed = [bad.run.wait({}), bad.run.wait({})];
    bad.finish.reject(new Error('no'));
    for (const each of failed) await assert.rejects(each, /no/);
    assert.deepEqual([good.abandoned(), bad.abandoned()], [0, 0]);
  });

  it('goes on when one of them leaves, by time or by will', async () => {
    const { run, finish, signal, abandoned } = controlled();
    const gone = new AbortController();
    const [stays, leaves, late] = [
      run.wait({}),
      run.wait({ signal: gone.signal }),
      run.wait({ timeout: 20 }),
    ];
    gone.abort();
    await assert.rejects(leaves, { code: 'SERVER_CANCELLED' });
    await assert.rejects(late, { code: 'SERVER_TIMEOUT', message: 'not answered within 20 ms' });
    assert.deepEqual([signal.aborted, abandoned()], [false, 0]);
    finish.resolve('done');
    assert.equal(await stays, 'done');
  });

  it('is given up when the last one leaves, once', async () => {
    const { run, finish, signal, abandoned } = controlled();
    const gone = new AbortController();
    const waits = [run.wait({ signal: gone.signal }), run.wait({ timeout: 10 })];
    await assert.rejects(waits[1]!, { code: 'SERVER_TIMEOUT' });
    gone.abort();
    await assert.rejects(waits[0]!, { code: 'SERVER_CANCELLED' });
    assert.deepEqual([signal.aborted, abandoned()], [true, 1]);
    finish.reject(new Error('given up'));
    await sleep(1);
    assert.equal(abandoned(), 1);
  });
});
