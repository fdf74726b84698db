import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import sharp from 'sharp';
import { processState } from '../../fixtures/bench/serve/process-state.js';
import { decodeImage, readImage } from '../../runtime/pipeline/images/decode-image.js';
import { ipgraft } from '../command.js';
import { fixturePath, freshFolder } from '../fixtures.js';
import { openEvents, type StreamedEvent } from '../serve/event-stream.js';
import { type Answer, ask } from '../serve/http-server.js';
import { pipelinesFolder } from '../serve/picture-server.js';
import { workersOf } from '../serve/processes.js';
import { type ServeProcess, serve } from '../serve/serve-process.js';
import { tellsNothing } from './tells-nothing.js';

const FOX = { prompt: 'a fox in the snow', steps: 2, seed: 5 };
/** More steps than are over before a test is. */
const LONG = { ...FOX, steps: 150, stream: true };
const QUEUE = 4;
/** What the server's process may come to hold beside. Bytes. */
const FLAT = 48 * 1024 * 1024;

describe('pictures of a server that runs', () => {
  let folder: string;
  let server: ServeProcess;
  const generations = () => `${server.url}/v1/images/generations`;
  /** Asks; whatever is answered tells nothing of the machine. */
  const post = async (body: unknown, init: object = {}): Promise<Answer> => {
    const answer = await ask(generations(), { body, ...init });
    if (answer.status !== 200) tellsNothing(String(answer.bytes));
    return answer;
  };
  /** The process that runs the UNet. */
  const unet = () =>
    workersOf(server.child.pid).find((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/unet/'),
    )!;
  const running = async () => {
    const { bytes } = await ask(`${server.url}/metrics`);
    return Number(/^ipgraft_pictures_running\{.*\} (\d+)$/m.exec(String(bytes))![1]);
  };
  const isIdle = async () => {
    for (const end = Date.now() + 20_000; (await running()) > 0; )
      assert.ok(Date.now() < end, 'it still runs');
  };
  /** Milliseconds that probes take while some work goes on, from the shortest to the longest. */
  const probedDuring = async (work: Promise<unknown>): Promise<number[]> => {
    let isOver = false;
    const done = work.finally(() => {
      isOver = true;
    });
    const times: number[] = [];
    while (!isOver) {
      const began = performance.now();
      assert.equal((await ask(`${server.url}/v2/health/ready`)).status, 200);
      times.push(performance.now() - began);
    }
    await done;
    return times.sort((a, b) => a - b);
  };
  before(async () => {
    folder = await pipelinesFolder({ fox: [['sd15-base'], { tokens: 'embeds', scale: 'input' }] });
    server = await serve(folder, '--threads', '1', '--queue', String(QUEUE));
  });
  after(() => server?.child.kill('SIGKILL'));

  it('are those of the command line, pixel for pixel', async () => {
    const output = join(freshFolder(), 'out.png');
    const image = fixturePath('pictures', 'images', 'one.png');
    const { code, stderr } = await ipgraft(
      ...['generate', join(folder, 'fox'), '-p', FOX.prompt, '--steps', '2', '--seed', '5', '-o', output],
      ...['--image', image, '--scale', '0.7', '--threads', '1'],
    );
    assert.equal(code, 0, stderr);
    const { json } = await post({ ...FOX, image_prompts: [readFileSync(image, 'base64')], scale: 0.7 });
    const found = Buffer.from(json.data[0].b64_json, 'base64');
    assert.deepEqual(await decodeImage(found, 'answer'), await readImage(output));
    const parameters = (bytes: Buffer) =>
      /parameters\0[^\0]+Version: ipgraft [\d.]+/.exec(bytes.toString('latin1'))?.[0];
    assert.ok(parameters(found) !== undefined);
    assert.equal(parameters(found), parameters(readFileSync(output)));
  });

  it('a worker that is killed takes its picture with it, is said so, and the next one is made', async () => {
    for (const stream of [true, false]) {
      const pid = unet();
      const events: StreamedEvent[] = [];
      let answered: Promise<Answer> | undefined;
      if (stream)
        for await (const event of await openEvents(generations(), LONG)) {
          events.push(event);
          if (event.step === 2) process.kill(pid, 'SIGKILL');
        }
      else {
        answered = post({ ...LONG, stream: false });
        while ((await running()) === 0);
        process.kill(pid, 'SIGKILL');
      }
      const answer = await answered;
      const error = answer === undefined ? events.at(-1)!.error : answer.json.error;
      if (answer !== undefined) assert.equal(answer.status, 500);
      assert.deepEqual([error.code, error.type], ['SERVER_WORKER_LOST', 'server_error']);
      assert.match(error.message, /ask again/);
      tellsNothing(JSON.stringify(error));
      assert.equal((await post(FOX)).status, 200);
      assert.notEqual(unet(), pid);
    }
  });

  it('clients that go while they are made or wait leave nothing behind', async () => {
    await isIdle();
    const pid = unet();
    const before = processState(server.child.pid!).openFiles;
    for (let i = 0; i < 10; i++) {
      const gone = new AbortController();
      const events = await openEvents(generations(), LONG, gone.signal);
      for await (const { type } of events) if (type.endsWith('.step')) break;
      const waiting = await openEvents(generations(), LONG, gone.signal).catch(() => undefined);
      await waiting?.next().catch(() => {});
      gone.abort();
      await isIdle();
    }
    assert.equal((await post(FOX)).status, 200);
    assert.equal(unet(), pid, 'no worker was lost');
    assert.ok(processState(server.child.pid!).openFiles <= before + 4);
  });

  it('twenty at once: as many as have a place are made, the rest are told when to come again', async () => {
    await isIdle();
    const answers = await Promise.all(Array.from({ length: 20 }, () => post({ ...FOX, steps: 8 })));
    const made = answers.filter(({ status }) => status === 200);
    assert.ok(made.length > QUEUE && made.length < 20, String(made.length));
    for (const { status, headers, json } of answers) {
      if (status === 200) continue;
      assert.deepEqual([status, json.error.code], [503, 'SERVER_BUSY']);
      assert.ok(Number(headers.get('retry-after')) >= 1);
    }
  });

  it('an image of a hundred megapixels is refused by its head, and one of sixty-four is looked at while others are answered', async () => {
    const small = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    const huge = Buffer.from(small);
    huge.writeUInt32BE(10_000, 16);
    huge.writeUInt32BE(10_000, 20);
    huge.writeUInt32BE(crc32(huge.subarray(12, 29)), 29);
    const refused = await post({ ...FOX, init_image: huge.toString('base64') });
    assert.equal(refused.status, 400);
    assert.match(refused.json.error.message, /init_image: it has more than 64 megapixels/);
    const thin = await sharp({ create: { width: 1, height: 4000, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    assert.match(
      (await post({ ...FOX, image_prompts: [thin.toString('base64')] })).json.error.message,
      /64 times/,
    );
    const form = new FormData();
    for (const [name, text] of Object.entries(FOX)) form.append(name, String(text));
    const big = sharp({ create: { width: 8000, height: 8000, channels: 3, background: 'red' } });
    form.append('image_prompts', new Blob([new Uint8Array(await big.jpeg().toBuffer())]), 'big.jpg');
    const times = await probedDuring(
      fetch(generations(), { method: 'POST', body: form }).then(({ status }) => assert.equal(status, 200)),
    );
    const [middle, last] = [times[times.length >> 1]!, times.at(-1)!];
    console.log(`    health within ${middle.toFixed(0)} ms, ${last.toFixed(0)} ms at the longest`);
    // One processor does all of it, and others work on this machine too.
    assert.ok(middle < 50 && last < 500, `${middle} ${last}`);
  });

  it('prompts without end are refused, and words that no tokenizer knows are painted', async () => {
    const long = await post({ ...FOX, prompt: 'fox '.repeat(2500) });
    assert.equal(long.status, 400);
    assert.match(long.json.error.message, /prompt: sought 4000 characters at most, found 10000/);
    for (const prompt of ['𓂀𓃠 ꙮ', '', '\u0000\u0007', '…'.repeat(300)])
      assert.equal((await post({ ...FOX, prompt })).status, 200, prompt);
  });

  it('bodies of all kinds are answered with an error, which tells nothing of the machine', async () => {
    const png = readFileSync(fixturePath('pictures', 'images', 'one.png'));
    const bodies: readonly unknown[] = [
      ...['', '{', 'null', '[]', '"x"', '{"prompt":"a","prompt":3}', '{"__proto__":{"prompt":"a"}}'],
      '['.repeat(100_000),
      Buffer.from([0xff, 0xfe, 0x00]),
      { ...FOX, model: '../fox' },
      { ...FOX, model: 'a'.repeat(10_000) },
      { ...FOX, size: '0x0' },
      { ...FOX, size: '16x99999' },
      { ...FOX, seed: 1e300 },
      { ...FOX, steps: -1 },
      { ...FOX, scale: 'a'.repeat(100_000), image_prompts: [png.toString('base64')] },
      { ...FOX, image_prompts: Array.from({ length: 10_000 }, () => null) },
      { ...FOX, image_prompts: [png.subarray(0, 60).toString('base64')] },
      {
        ...FOX,
        image_prompts: ['data:image/svg+xml;base64,PHN2Zz48aW1hZ2UgaHJlZj0iL2V0Yy9wYXNzd2QiLz48L3N2Zz4='],
      },
      { ...FOX, init_image: 'http://169.254.169.254/latest' },
      { ...FOX, mask: 'file:///etc/passwd', init_image: png.toString('base64') },
    ];
    for (const body of bodies) {
      const { status, json } = await post(body);
      assert.ok(status === 400 || status === 404, `${status} ${JSON.stringify(body).slice(0, 100)}`);
      assert.deepEqual(Object.keys(json.error), ['message', 'type', 'param', 'code']);
      assert.ok(json.error.message.length < 1000);
    }
    assert.equal((await post(FOX)).status, 200);
  });

  it('hundreds of them take no more memory than the first ones', async () => {
    const pid = server.child.pid!;
    const after: number[] = [];
    for (let i = 0; i < 200; i++) {
      assert.equal((await post({ ...FOX, seed: i, steps: 1, guidance_scale: 1 })).status, 200);
      if (i % 20 === 19) after.push(processState(pid).resident);
    }
    console.log(`    ${after.map((each) => (each / 1e6).toFixed(0)).join(', ')} MB`);
    assert.ok(after.at(-1)! <= Math.max(...after.slice(0, 3)) + FLAT, after.join());
  });

  it('those that run may end after SIGTERM, and then the server does', async () => {
    const events = await openEvents(generations(), { ...FOX, steps: 20, stream: true });
    await events.next();
    server.child.kill('SIGTERM');
    const kinds: string[] = [];
    for await (const { type } of events) kinds.push(type);
    assert.equal(kinds.at(-1), 'image_generation.completed');
    assert.equal(await server.ended, 0);
  });
});
