import assert from 'node:assert/strict';
import { processState } from '../../fixtures/bench/serve/process-state.js';
import { ask, exchange } from '../serve/http-server.js';
import { workersOf } from '../serve/processes.js';
import { repositoryOf, type ServeProcess, serve } from '../serve/serve-process.js';
import { identityModel } from '../serve/small-models.js';
import { type Attack, attacks } from './attacks.js';
import { tellsNothing } from './tells-nothing.js';

const ECHO = { inputs: [{ name: 'x', datatype: 'FP32', shape: [2], data: [1, 2] }] };
const SEED = 20_261;
const AT_ONCE = 8;
/** What the heap of a process may come to hold without a leak, and what another thousand must not add. Bytes. */
const FLAT = 48 * 1024 * 1024;

describe('a thousand attacks on a server that runs', () => {
  let server: ServeProcess;
  before(async () => {
    const folder = repositoryOf({ echo: identityModel(['x', 'float', ['n']]) });
    server = await serve(folder, '--max-body', String(1024 * 1024), '--threads', '1');
  });
  after(() => server?.child.kill('SIGKILL'));

  /** Sends them, some at a time, and holds every answer to what it may be. */
  async function send(all: readonly Attack[]): Promise<Map<number, number>> {
    const rest = [...all];
    const counts = new Map<number, number>();
    const one = async () => {
      for (let attack = rest.pop(); attack !== undefined; attack = rest.pop()) {
        const { name, bytes, statuses } = attack;
        const answer = await exchange(server.url, bytes);
        // A connection may end before the answer is read where the rest of the request was not.
        if (answer === '') continue;
        const status = Number(answer.slice(9, 12));
        const sent = `${name}: ${bytes.subarray(0, 300).toString('latin1')}\n${answer}`;
        assert.ok(statuses.includes(status), sent);
        tellsNothing(answer);
        counts.set(status, (counts.get(status) ?? 0) + 1);
        if (status === 200) continue;
        const body = JSON.parse(
          Buffer.from(answer.slice(answer.indexOf('\r\n\r\n') + 4), 'latin1').toString(),
        );
        assert.deepEqual(Object.keys(body), ['error'], sent);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
    return counts;
  }

  it('answers each with an error, others meanwhile, and holds nothing of them afterwards', async () => {
    const pids = [server.child.pid!, ...workersOf(server.child.pid)];
    assert.equal(pids.length, 2);
    // What is loaded and allocated at the first attacks stays.
    await send(attacks(300, SEED + 1));
    const before = pids.map(processState);
    let answered = 0;
    let isOver = false;
    const others = (async () => {
      while (!isOver) {
        const { status, json } = await ask(`${server.url}/v2/models/echo/infer`, { body: ECHO });
        assert.equal(status, 200);
        assert.deepEqual(json.outputs[0].data, [1, 2]);
        assert.equal((await ask(`${server.url}/v2/health/ready`)).status, 200);
        answered += 1;
      }
    })();
    const counts = await send(attacks(1000, SEED)).finally(() => {
      isOver = true;
    });
    await others;
    assert.ok(answered > 20, `${answered} other requests`);
    const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
    assert.ok(all > 950, `${all} answers`);
    assert.ok((counts.get(400) ?? 0) > 500, JSON.stringify([...counts]));
    assert.equal((await ask(`${server.url}/v2/health/ready`)).status, 200);
    assert.deepEqual([server.child.pid, ...workersOf(server.child.pid)], pids, 'the same worker');
    for (const [i, { resident, openFiles }] of pids.map(processState).entries()) {
      assert.ok(resident - before[i]!.resident < FLAT, `${resident} bytes, ${before[i]!.resident} before`);
      // Some connections of the others may be open still.
      assert.ok(openFiles <= before[i]!.openFiles + 4, `${openFiles} files, ${before[i]!.openFiles} before`);
    }
    assert.equal((await ask(`${server.url}/v2/health/live`)).status, 200);
    assert.doesNotMatch(server.log(), /uncaught|unhandled/i);
  });
});
