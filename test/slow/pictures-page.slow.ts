import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { bundledAdapter, unpackPipelineInto } from '../../fixtures/bundled-pipeline.js';
import { readImage } from '../../runtime/pipeline/images/decode-image.js';
import { serveModel } from '../../runtime/serve/workers/serve-model.js';
import { ipgraft, MAIN } from '../command.js';
import { fixturePath, freshFolder } from '../fixtures.js';
import { startServer, stopServers, type TestServer } from '../serve/http-server.js';
import {
  browserOrSkip,
  checkAccessible,
  checkWidth,
  DESK,
  READERS,
  type Reader,
  readPage,
} from './browser.js';

const run = promisify(execFile);
const image = (name: string) => fixturePath('pictures', 'images', `${name}.png`);
const LIMITS = { pixels: 128 * 128, steps: 150, pictures: 4, prompt: 500 };

/** A folder with one pipeline, `tiny`: an adapter with a scale for each layer. */
async function pipelines(): Promise<string> {
  const [plain, folder] = [freshFolder(), freshFolder()];
  await unpackPipelineInto(plain);
  const adapter = bundledAdapter('sd15-base');
  const args = ['adapt', plain, '-a', adapter, '--scale', 'layers', '-o', join(folder, 'tiny')];
  const { code, stderr } = await ipgraft(...args);
  assert.equal(code, 0, stderr);
  return folder;
}

describe('the page of pictures in a browser', () => {
  let browser: Browser;
  let folder: string;
  let server: TestServer;
  before(async function () {
    browser = await browserOrSkip(this);
    folder = await pipelines();
    server = await serve();
  });
  after(async () => {
    await browser?.close();
    await stopServers();
  });

  const serve = (options: { readonly token?: string } = {}) =>
    startServer(
      {},
      {
        folder,
        hosts: [],
        maxBody: 16 * 1024 * 1024,
        timeout: 120_000,
        pictures: {
          workers: 1,
          queueSize: 8,
          loadModel: (path) => serveModel(path, { threads: 1 }),
          limits: LIMITS,
        },
        ...options,
      },
    );

  const reading = (reader: Reader, work: (page: Page) => Promise<void>, expected?: RegExp) =>
    readPage(browser, server.url, '/', reader, work, expected);

  const field = (page: Page, name: string) => page.getByLabel(name, { exact: true });
  const shots = (page: Page) => page.getByRole('region', { name: 'Made in this visit' }).getByRole('img');

  /** Fills in a small picture: whoever waits for it waits a second. */
  async function fillIn(page: Page, settings: Readonly<Record<string, string>> = {}): Promise<void> {
    const small = { Prompt: 'a red fox', Steps: '3', Width: '32', Height: '32' };
    for (const [name, value] of Object.entries({ ...small, ...settings }))
      await field(page, name).fill(value);
  }

  async function generate(page: Page, count = 1): Promise<void> {
    const before = await shots(page).count();
    await page.keyboard.press('Control+Enter');
    await shots(page)
      .nth(before + count - 1)
      .waitFor();
    await page.getByRole('button', { name: 'Generate' }).and(page.locator(':enabled')).waitFor();
  }

  it('every width and colour: no complaint, nothing beside the page, nothing that axe-core finds', async () => {
    for (const reader of READERS)
      await reading(reader, async (page) => {
        await page.getByLabel('Image prompt').setInputFiles(image('one'));
        await page.getByRole('img', { name: 'one.png' }).waitFor();
        await checkWidth(page);
        await checkAccessible(page);
        await fillIn(page, { Steps: '1' });
        await generate(page);
        await page.getByText('As a command').click();
        await page.getByText('More', { exact: true }).click();
        await page.getByRole('button', { name: 'Compare with scale 0' }).click();
        await page.locator('.comparison').waitFor();
        await checkWidth(page);
        await checkAccessible(page);
        const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        assert.equal(ground, reader.scheme === 'dark' ? 'rgb(18, 19, 21)' : 'rgb(247, 247, 245)');
      });
  });

  it('images are chosen, dropped and pasted, one in the place of another, and removed', async () => {
    await reading(DESK, async (page) => {
      const thumb = (name: string) => page.getByRole('img', { name, exact: true });
      await page.getByLabel('Image prompt').setInputFiles(image('one'));
      await thumb('one.png').waitFor();
      const bytes = [...readFileSync(image('two'))];
      await page.evaluate((data) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([new Uint8Array(data)], 'two.png', { type: 'image/png' }));
        document
          .querySelector('.zone')!
          .dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
      }, bytes);
      await thumb('two.png').waitFor();
      assert.equal(await thumb('one.png').count(), 0);
      await page.evaluate(async (data) => {
        const png = new Blob([new Uint8Array(data)], { type: 'image/png' });
        await navigator.clipboard.write([new ClipboardItem({ 'image/png': png })]);
      }, bytes);
      await field(page, 'Prompt').focus();
      await page.keyboard.press('Control+V');
      await thumb('pasted-1.png').waitFor();
      assert.equal(await field(page, 'Prompt').inputValue(), '');
      await page.getByRole('button', { name: 'Remove pasted-1.png' }).press('Enter');
      assert.equal(await page.locator('.picked img').count(), 0);
      await page.getByLabel('Image prompt').setInputFiles(fixturePath('pictures', 'cases.json'));
      await page.getByRole('alert').getByText('cases.json is no image that this browser can show.').waitFor();
    });
  });

  it('a picture is seen to come, and is what curl and the command line make of the copied commands', async () => {
    await reading(DESK, async (page) => {
      await page.getByLabel('Image prompt').setInputFiles(image('one'));
      await fillIn(page, {
        Prompt: "the fox's den, $HOME & `naïve` café",
        Steps: '12',
        'Negative prompt': 'a \\ "blur"',
      });
      await page.keyboard.press('Control+Enter');
      await page.getByRole('img', { name: 'Preview' }).waitFor();
      await page.getByText(/^Step \d+ of 1[23] · \d\.\d s a step · /).waitFor();
      await shots(page).waitFor();
      assert.match((await shots(page).getAttribute('alt'))!, /^Picture 1: the fox's den, \$HOME/);
      await page.getByRole('status').getByText('The picture is there.').waitFor({ state: 'attached' });
      const seed = await field(page, 'Seed').inputValue();
      const file = `tiny-${seed}.png`;
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('link', { name: 'Download' }).press('Enter'),
      ]);
      assert.equal(download.suggestedFilename(), file);
      const wanted = await readImage(await download.path());

      await page.getByText('As a command').click();
      const copied = async (language: string) => {
        await page.getByRole('radio', { name: language }).check();
        await page.locator('.copied:empty').waitFor({ state: 'attached' });
        await page.getByRole('button', { name: 'Copy the command' }).press('Enter');
        await page.getByRole('status').getByText('Copied').waitFor();
        return page.evaluate(() => navigator.clipboard.readText());
      };
      const work = freshFolder();
      copyFileSync(image('one'), join(work, 'one.png'));
      await run('bash', ['-c', await copied('curl')], { cwd: work });
      assert.deepEqual(await readImage(join(work, file)), wanted);
      const cli = await copied('CLI');
      const command = `ipgraft() { ${process.execPath} ${MAIN} "$@"; }\n${cli.replace('generate tiny', `generate ${join(folder, 'tiny')}`)} --force`;
      await run('bash', ['-c', command], { cwd: work });
      assert.deepEqual(await readImage(join(work, file)), wanted);
      const { transform } = await import('esbuild');
      const { code } = await transform(await copied('TypeScript'), { loader: 'ts' });
      await run(process.execPath, ['--input-type=module', '-e', code], { cwd: work });
      assert.deepEqual(await readImage(join(work, file)), wanted);
    });
  });

  it('a picture is compared with scale 0 under a divider that keys move, and made once for that', async () => {
    await reading(DESK, async (page) => {
      await page.getByLabel('Image prompt').setInputFiles(image('one'));
      await fillIn(page);
      await generate(page);
      const asked = () => server.log.filter(({ url }) => url === '/v1/images/generations').length;
      const before = asked();
      await page.getByRole('button', { name: 'Compare with scale 0' }).click();
      const divider = page.getByRole('slider', { name: /^How much of scale 0/ });
      await divider.waitFor();
      assert.equal(await shots(page).count(), 2);
      const at = () =>
        page.locator('.comparison').evaluate((each) => getComputedStyle(each).getPropertyValue('--at'));
      assert.equal(await at(), '50%');
      await divider.press('ArrowRight');
      assert.equal(await at(), '51%');
      await divider.press('Home');
      assert.equal(await at(), '0%');
      const [left, right] = await page
        .locator('.comparison img')
        .evaluateAll((all) => all.map((each) => (each as HTMLImageElement).src));
      assert.notEqual(left, right);
      await shots(page).nth(1).click();
      await page.getByRole('button', { name: 'Compare with scale 0' }).click();
      await divider.waitFor();
      assert.equal(await shots(page).count(), 2);
      assert.equal(asked(), before + 1);
    });
  });

  it('Escape cancels, and the server is free again', async () => {
    await reading(DESK, async (page) => {
      await fillIn(page, { Steps: '150', Width: '96', Height: '96' });
      await page.keyboard.press('Control+Enter');
      await page.getByText(/^Step [2-9] of 15/).waitFor();
      await page.keyboard.press('Escape');
      await page.getByRole('status').getByText('Cancelled.').waitFor({ state: 'attached' });
      await page.getByText('A picture appears here.').waitFor();
      await fillIn(page);
      await generate(page);
    });
  });

  it('whoever waits is told for how many', async () => {
    const stop = new AbortController();
    const body = JSON.stringify({ prompt: 'x', size: '96x96', steps: 150, stream: true });
    const headers = { 'content-type': 'application/json' };
    const busy = await fetch(`${server.url}/v1/images/generations`, {
      method: 'POST',
      headers,
      body,
      signal: stop.signal,
    });
    await busy.body!.getReader().read();
    await reading(DESK, async (page) => {
      await fillIn(page);
      await page.keyboard.press('Control+Enter');
      await page
        .getByText(/^(Next in the queue|Waiting: 1 request is before this one)$/)
        .first()
        .waitFor();
      stop.abort();
      await shots(page).waitFor();
    });
  });
});
