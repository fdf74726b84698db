import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import type { ServeRepositoryOptions } from '../../runtime/serve/serve.js';
import { serveModel } from '../../runtime/serve/workers/serve-model.js';
import { freshFolder, modelPath } from '../fixtures.js';
import { echoModel } from '../serve/echo-model.js';
import { startServer, stopServers } from '../serve/http-server.js';
import { identityModel } from '../serve/small-models.js';
import {
  browserOrSkip,
  checkAccessible,
  checkWidth,
  DESK,
  openAddress,
  READERS,
  type Reader,
  readPage,
  startBrowser,
} from './browser.js';
import { pythonEnvironment } from './python.js';

const run = promisify(execFile);
/** A browser tells of each 401 itself. */
const REFUSED = /401 \(Unauthorized\)$/;

/** A folder of real models: UNets in FP32 and FP16, and one of strings. */
function models(): string {
  const folder = freshFolder();
  for (const [name, path] of [
    ['unet', modelPath('sd15-sdpa-ts17')],
    ['unet-fp16', modelPath('sd15-sdpa-ts17-fp16')],
    ['words', identityModel(['text', 'string', ['n']], ['flag', 'bool', []])],
  ] as const) {
    mkdirSync(join(folder, name, '1'), { recursive: true });
    copyFileSync(path, join(folder, name, '1', 'model.onnx'));
  }
  return folder;
}

describe('the page of ipgraft serve in a browser', () => {
  let browser: Browser;
  before(async function () {
    browser = await browserOrSkip(this);
  });
  after(() => browser?.close());
  afterEach(stopServers);

  const real = (options: Partial<ServeRepositoryOptions> = {}) =>
    startServer(
      {},
      { folder: models(), loadModel: (path) => serveModel(path, { threads: 1 }), hosts: [], ...options },
    );

  const reading = (url: string, reader: Reader, work: (page: Page) => Promise<void>, expected?: RegExp) =>
    readPage(browser, url, '/', reader, work, expected);

  /** Presses a model's button, and answers with what is in the clipboard then. */
  async function copied(page: Page, model: string): Promise<string> {
    const card = page.getByRole('region', { name: model, exact: true });
    // What was said before is gone by then.
    await card.locator('.copied:empty').waitFor({ state: 'attached' });
    await card.getByRole('button', { name: `Copy the request to ${model}`, exact: true }).press('Enter');
    await card.getByRole('status').getByText('Copied').waitFor();
    return page.evaluate(() => navigator.clipboard.readText());
  }

  it('every width and colour: no complaint, nothing beside the page, nothing that axe-core finds', async () => {
    const { url } = await real();
    for (const reader of READERS)
      await reading(url, reader, async (page) => {
        await page.locator('.model').first().waitFor();
        assert.deepEqual(await page.locator('.model h2').allTextContents(), ['unet', 'unet-fp16', 'words']);
        await checkWidth(page);
        const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        assert.equal(ground, reader.scheme === 'dark' ? 'rgb(18, 19, 21)' : 'rgb(247, 247, 245)');
        await checkAccessible(page);
      });
  });

  it('says what models take and give, and what they did', async () => {
    const { url } = await real();
    await reading(url, DESK, async (page) => {
      const card = page.getByRole('region', { name: 'unet', exact: true });
      await card.waitFor();
      const rows = await card.locator('tbody tr:not(.group)').allInnerTexts();
      assert.deepEqual(
        rows.map((row) => row.replaceAll('\t', ' ')),
        [
          'sample FP32 [batch_size, 4, height, width]',
          'timestep INT64 []',
          'encoder_hidden_states FP32 [batch_size, sequence_length, 24]',
          'out_sample FP32 [batch_size, 4, height, width]',
        ],
      );
      const counts = () => card.locator('.counts-line').textContent();
      assert.equal(await counts(), '0 answered · 0 failed · 0 waiting');
      await card.getByLabel('height').fill('8');
      await card.getByLabel('width').fill('8');
      await run('bash', ['-c', await copied(page, 'unet')], { cwd: freshFolder() });
      await page.getByRole('button', { name: 'Refresh' }).press('Enter');
      await page.getByText('1 answered').waitFor();
      assert.equal(await card.getByLabel('height').inputValue(), '8');
      assert.match((await counts())!, /^1 answered · 0 failed · 0 waiting · [\d.,]+ ms each$/);
    });
  });

  it('curl that is copied by keys alone is answered, with the sizes that the reader gave', async () => {
    const { url } = await real();
    await reading(url, DESK, async (page) => {
      for (const [model, bytes] of [
        ['unet', 4],
        ['unet-fp16', 2],
      ] as const) {
        const card = page.getByRole('region', { name: model, exact: true });
        for (const [field, size] of [
          ['batch_size', '2'],
          ['height', '16'],
          ['width', '8'],
          ['sequence_length', '7'],
        ] as const)
          await card.getByLabel(field).fill(size);
        const cwd = freshFolder();
        const { stdout } = await run('bash', ['-c', await copied(page, model)], { cwd });
        assert.match(stdout, /^HTTP\/1\.1 200 OK/);
        const length = Number(/^inference-header-content-length: (\d+)/im.exec(stdout)![1]);
        const reply = readFileSync(join(cwd, 'reply.bin'));
        const { outputs } = JSON.parse(String(reply.subarray(0, length)));
        assert.deepEqual(outputs[0].shape, [2, 4, 16, 8]);
        assert.equal(reply.length - length, 2 * 4 * 16 * 8 * bytes);
      }
      const { stdout } = await run('bash', ['-c', await copied(page, 'words')]);
      assert.deepEqual(
        JSON.parse(stdout).outputs.map(({ data }: { data: unknown }) => data),
        [['text'], [false]],
      );
    });
  });

  it('Python and TypeScript that are copied are answered too', async function () {
    const environment = pythonEnvironment('clients', 'test/clients/requirements.txt');
    if ('missing' in environment) {
      console.log(`    skipped: ${environment.missing}`);
      this.skip();
    }
    const { url } = await real({ token: 'secret' });
    const env = { ...process.env, IPGRAFT_TOKEN: 'secret' };
    await reading(
      url,
      DESK,
      async (page) => {
        await signIn(page, 'secret');
        for (const model of ['unet', 'unet-fp16']) {
          const card = page.getByRole('region', { name: model, exact: true });
          await card.getByLabel('height').fill('8');
          await card.getByLabel('width').fill('16');
          await page.getByRole('radio', { name: 'Python' }).check();
          const python = await run(environment.python, ['-c', await copied(page, model)], { env });
          assert.match(python.stdout, /^out_sample \[\[\[\[/);
          await page.getByRole('radio', { name: 'TypeScript' }).check();
          const { transform } = await import('esbuild');
          const { code } = await transform(await copied(page, model), { loader: 'ts' });
          const node = await run(process.execPath, ['--input-type=module', '-e', code], { env });
          assert.match(node.stdout, /name: 'out_sample',\s+shape: \[ 1, 4, 8, 16 \]/);
        }
        await page.getByRole('radio', { name: 'Python' }).check();
        const { stdout } = await run(environment.python, ['-c', await copied(page, 'words')], { env });
        assert.equal(stdout, "text_out [b'text']\nflag_out False\n");
      },
      REFUSED,
    );
  });

  async function signIn(page: Page, token: string): Promise<void> {
    await page.getByLabel('Token').fill(token);
    await page.keyboard.press('Enter');
  }

  it('with a token it shows nothing before it is given, and never writes it down', async () => {
    const { url } = await startServer({ m: echoModel() }, { token: 'secret' });
    await reading(
      url,
      DESK,
      async (page) => {
        await page.getByLabel('Token').waitFor();
        assert.equal(await page.evaluate(() => document.activeElement!.id), 'token');
        assert.equal(await page.locator('.model').count(), 0);
        await checkAccessible(page);
        await signIn(page, 'wrong');
        await page.getByRole('alert').getByText('This is not the token of the server.').waitFor();
        await signIn(page, 'secret');
        await page.locator('.model').waitFor();
        assert.match((await page.locator('pre').textContent())!, /Bearer \$IPGRAFT_TOKEN/);
        assert.doesNotMatch(await page.content(), /secret/);
        assert.deepEqual(
          await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]),
          [0, 0, ''],
        );
        assert.ok(await page.getByLabel('Token').isHidden());
        await page.reload();
        await page.getByLabel('Token').waitFor();
      },
      REFUSED,
    );
  });

  it('hostile names are read, not run', async () => {
    const name = '</script><img src=x onerror=alert(1)>"\'\u202e';
    const inputs = [{ name, datatype: 'FP32', shape: [-1], symbols: [name], optional: false }] as const;
    const { url } = await startServer({ m: echoModel(inputs) });
    await reading(url, DESK, async (page) => {
      await page.locator('.model').waitFor();
      assert.equal(await page.locator('img').count(), 0);
      assert.ok(
        (await page.locator('.model table').textContent())!.includes('</script><img src=x onerror=alert(1)>'),
      );
      for (const language of ['curl', 'Python', 'TypeScript']) {
        await page.getByRole('radio', { name: language }).check();
        const text = (await page.locator('pre').textContent())!;
        assert.match(text, /onerror=alert/);
        assert.ok(
          [...text].every((each) => each === '\n' || (each >= ' ' && each <= '~')),
          language,
        );
      }
      await checkAccessible(page);
    });
  });

  it('a page of another origin has a browser ask in vain', async () => {
    const { url, log } = await startServer({ m: echoModel() }, { hosts: [] });
    const { url: elsewhere } = await startServer({ other: echoModel() });
    const { page } = await openAddress(browser, `${elsewhere}/v2`, DESK, () => true);
    const type = await page.evaluate(
      async (address) => (await fetch(address, { method: 'POST', mode: 'no-cors', body: '{}' })).type,
      `${url}/v2/models/m/infer`,
    );
    // It goes out, but nothing is done, and nothing of the answer is to be read.
    assert.equal(type, 'opaque');
    assert.deepEqual(
      log.flatMap(({ method, status }) => (method === undefined ? [] : [[method, status]])),
      [['POST', 403]],
    );
    await page.context().close();
  });

  it('a page whose name has been led to this machine reads nothing', async () => {
    const rebound = (await startBrowser('--host-resolver-rules=MAP evil.example 127.0.0.1'))!;
    const { url } = await startServer({ m: echoModel() }, { hosts: [] });
    const page = await rebound.newPage();
    for (const path of ['/v2/models/m', '/', '/openapi.json']) {
      const reply = (await page.goto(`http://evil.example:${new URL(url).port}${path}`))!;
      assert.equal(reply.status(), 403);
      assert.match((await reply.json()).error, /^the header Host names “evil\.example:\d+”/);
    }
    await rebound.close();
  });
});
