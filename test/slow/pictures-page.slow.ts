import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { unpackBundled } from '../../fixtures/bundled-pipeline.js';
import { readImage } from '../../runtime/pipeline/images/decode-image.js';
import { serveModel } from '../../runtime/serve/workers/serve-model.js';
import { ipgraft, MAIN } from '../command.js';
import { fixturePath, freshFolder } from '../fixtures.js';
import { startServer, stopServers, type TestServer } from '../serve/http-server.js';
import { startPictureServer } from '../serve/picture-server.js';
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
  const { code, stderr } = await ipgraft(...unpackBundled(plain, join(folder, 'tiny')));
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

  const serve = () =>
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

  it('layers are drawn with a pointer, changed by keys and set by presets, and asked for so', async () => {
    await reading(DESK, async (page) => {
      await page.getByLabel('Image prompt').setInputFiles(image('one'));
      await fillIn(page, { Steps: '1' });
      const bars = page.getByRole('slider', { name: /attn2, id/ });
      assert.equal(await bars.count(), 16);
      const scales = () =>
        bars.evaluateAll((all) => all.map((each) => Number(each.getAttribute('aria-valuenow'))));
      assert.ok((await scales()).every((scale) => scale === 1));
      const asked = async () => {
        const [request] = await Promise.all([page.waitForRequest(/generations$/), generate(page)]);
        return request.postDataJSON().image_prompts[0].scale as number[];
      };
      // From the top of the first bar to the bottom of the one beside it.
      await bars.nth(0).scrollIntoViewIfNeeded();
      const [first, second] = [(await bars.nth(0).boundingBox())!, (await bars.nth(1).boundingBox())!];
      await page.mouse.move(first.x + first.width / 2, first.y + 1);
      await page.mouse.down();
      await page.mouse.move(second.x + second.width / 2, second.y + second.height - 1, { steps: 8 });
      await page.mouse.up();
      const drawn = await scales();
      assert.ok(drawn[0]! !== 1 && drawn[1]! === 0, drawn.join());
      assert.deepEqual(drawn.slice(2), Array(14).fill(1));
      // One stop for Tab, from where the pointer was; an arrow to the next block, and all of it.
      assert.equal(await page.evaluate(() => document.querySelectorAll('.bar-of[tabindex="0"]').length), 1);
      await page.keyboard.press('ArrowRight');
      await page.keyboard.press('Shift+End');
      await page.keyboard.press('ArrowDown');
      const wanted = [drawn[0], 0, 1.45, 1.5, ...Array(12).fill(1)];
      assert.deepEqual(await scales(), wanted);
      // Checkpoints have the middle last, and so has the page here: up blocks are drawn from the top.
      const paths = await bars.evaluateAll((all) => all.map((each) => each.getAttribute('data-path')!));
      const byPath = new Map(paths.map((path, i) => [path, wanted[i]]));
      const sent = await asked();
      assert.equal(sent[0], byPath.get('down_blocks.0.attentions.0.transformer_blocks.0.attn2'));
      assert.deepEqual(sent.slice(0, 4), [drawn[0], 0, 1.45, 1.5]);
      assert.deepEqual(sent.slice(4), Array(12).fill(1));
      const preset = page.getByRole('combobox', { name: 'Preset' });
      assert.equal(await preset.inputValue(), '');
      await preset.selectOption('composition');
      await page.getByRole('slider', { name: /^Scale/ }).fill('0.8');
      assert.deepEqual((await asked()).map((scale) => scale > 0).filter(Boolean).length, 2);
    });
  });

  it('by keys alone: an image, a prompt, a picture, its comparison, its settings', async () => {
    await reading(DESK, async (page) => {
      // The page begins in the prompt.
      await page.keyboard.type('a red fox');
      await tabTo(page, 'Image prompt');
      const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Space')]);
      await chooser.setFiles(image('one'));
      await page.getByRole('img', { name: 'one.png' }).waitFor();
      await tabTo(page, 'Steps');
      await page.keyboard.type('2');
      await tabTo(page, 'Generate');
      await page.keyboard.press('Enter');
      await shots(page).waitFor();
      await page.getByRole('button', { name: 'Generate' }).and(page.locator(':focus')).waitFor();
      await tabTo(page, 'Compare with scale 0');
      await page.keyboard.press('Enter');
      await page.locator('.comparison').waitFor();
      await tabTo(page, 'How much of scale 0');
      await page.keyboard.press('End');
      assert.match((await page.locator('.comparison').getAttribute('style'))!, /--at: 100%/);
      await tabTo(page, 'Use settings');
      await page.keyboard.press('Enter');
      assert.equal(await page.evaluate(() => document.activeElement!.id), 'prompt');
      assert.ok(await page.getByLabel('Keep').isChecked());
    });
  });

  /** Presses Tab until what has this name, or begins with it, has the focus, and marks a field's text. */
  async function tabTo(page: Page, name: string): Promise<void> {
    for (let i = 0; i < 80; i++) {
      await page.keyboard.press('Tab');
      const found = await page.evaluate(() => {
        const { activeElement: at } = document;
        if (at instanceof HTMLInputElement && at.type === 'number') at.select();
        const label =
          at?.getAttribute('aria-label') ?? (at as HTMLInputElement | null)?.labels?.[0]?.textContent;
        return (label ?? at?.textContent ?? '').trim();
      });
      if (found.startsWith(name)) return;
    }
    assert.fail(`Tab does not lead to ${name}`);
  }

  it('settings are there again after a reload, images are not, and nothing else is kept', async () => {
    await reading(DESK, async (page) => {
      await page.getByLabel('Image prompt').setInputFiles(image('one'));
      await fillIn(page, { Seed: '7', Steps: '9' });
      await field(page, 'Keep').check();
      await page.getByRole('combobox', { name: 'Preset' }).selectOption('ease-in');
      await page.reload();
      await page.getByText('A picture appears here.').waitFor();
      const values = ['Prompt', 'Seed', 'Steps', 'Width'].map((name) => field(page, name).inputValue());
      assert.deepEqual(await Promise.all(values), ['a red fox', '7', '9', '32']);
      assert.ok(await field(page, 'Keep').isChecked());
      assert.equal(await page.getByRole('combobox', { name: 'Preset' }).inputValue(), 'ease-in');
      assert.equal(await page.locator('.picked img').count(), 0);
      const kept = await page.evaluate(() => [
        Object.keys(localStorage).join(),
        sessionStorage.length,
        document.cookie,
        (localStorage.getItem('ipgraft-pictures') ?? '').length < 2000,
      ]);
      assert.deepEqual(kept, ['ipgraft-pictures', 0, '', true]);
      await page.evaluate(() =>
        localStorage.setItem('ipgraft-pictures', '{"steps":"x","adapters":[null],"model":[]}'),
      );
      await page.reload();
      await page.getByText('A picture appears here.').waitFor();
      assert.equal(await field(page, 'Steps').inputValue(), '25');
    });
  });

  it('a picture is started from another, within a mask, in several at once, and used again', async () => {
    await reading(DESK, async (page) => {
      await fillIn(page, { Steps: '2' });
      await page.getByText('More', { exact: true }).click();
      await field(page, 'Pictures').fill('2');
      await page.getByLabel('Picture to start from').setInputFiles(image('scene'));
      await page.getByRole('img', { name: 'scene.png' }).waitFor();
      // 100 × 66, in multiples of 16.
      assert.deepEqual(
        [await field(page, 'Width').inputValue(), await field(page, 'Height').inputValue()],
        ['96', '64'],
      );
      await page.getByLabel('Mask: white is painted anew').setInputFiles(image('mask'));
      await page.getByRole('img', { name: 'mask.png' }).waitFor();
      await fillIn(page, { Seed: '50', Steps: '2' });
      const [request] = await Promise.all([page.waitForRequest(/generations$/), generate(page, 2)]);
      const { n, strength, init_image: start, mask, seed } = request.postDataJSON();
      assert.deepEqual([n, strength, seed], [2, 0.8, 50]);
      assert.equal(start, readFileSync(image('scene')).toString('base64'));
      assert.equal(mask, readFileSync(image('mask')).toString('base64'));
      await page.getByText('seed 51 · 32 × 32').waitFor();
      await page.getByRole('button', { name: 'As image prompt' }).click();
      await page.getByRole('img', { name: 'tiny-51.png', exact: true }).waitFor();
      await page.getByRole('button', { name: 'As start' }).click();
      assert.equal(await page.locator('#init-image img').getAttribute('alt'), 'tiny-51.png');
      await page.getByRole('button', { name: 'Use settings' }).click();
      assert.equal(await page.locator('#init-image img').getAttribute('alt'), 'scene.png');
      assert.equal(await field(page, 'Seed').inputValue(), '51');
      assert.equal(await field(page, 'Pictures').inputValue(), '1');
    });
  });

  it('what is wrong is said in place: by the page before it asks, and by the server', async () => {
    await reading(
      DESK,
      async (page) => {
        await fillIn(page, { Width: '40', Steps: '151' });
        await page.keyboard.press('Control+Enter');
        await page.getByText('Width: A multiple of 16 is needed.').waitFor();
        await page.getByText('At most 150.').waitFor();
        assert.equal(await page.evaluate(() => document.activeElement!.id), 'width');
        assert.equal(await field(page, 'Steps').getAttribute('aria-invalid'), 'true');
        await checkAccessible(page);
        await fillIn(page, { Width: '256', Height: '128' });
        await page.keyboard.press('Control+Enter');
        await page.getByText('At most 16,384 pixels in all; these are 32,768.').waitFor();
        await fillIn(page);
        // What only the server knows.
        await page.getByText('More', { exact: true }).click();
        await page.getByRole('combobox', { name: 'Scheduler' }).evaluate((each) => {
          (each as HTMLSelectElement).options[0]!.value = 'nothing';
          (each as HTMLSelectElement).selectedIndex = 0;
        });
        await page.keyboard.press('Control+Enter');
        await page
          .locator('#fault-scheduler')
          .getByText(/^scheduler: sought one of ddim, .* found .*nothing/)
          .waitFor();
        await page.context().setOffline(true);
        await page.keyboard.press('Control+Enter');
        await page.getByText('The server does not answer.').waitFor();
      },
      /400 \(Bad Request\)|ERR_INTERNET_DISCONNECTED/,
    );
  });

  it('with a token it shows nothing before it is given, never writes it down, and asks again when it does not do', async () => {
    // Its models run in this process: they are there at once.
    const { url } = await startPictureServer(folder, { limits: LIMITS }, { token: 'secret', hosts: [] });
    const refused = /401 \(Unauthorized\)$/;
    await readPage(
      browser,
      url,
      '/',
      DESK,
      async (page) => {
        await page.getByLabel('Token').waitFor();
        assert.ok(await page.locator('#studio').isHidden());
        await checkAccessible(page);
        await page.getByLabel('Token').fill('wrong');
        await page.keyboard.press('Enter');
        await page.getByRole('alert').getByText('This is not the token of the server.').waitFor();
        await page.getByLabel('Token').fill('secret');
        await page.keyboard.press('Enter');
        await fillIn(page, { Steps: '1' });
        await generate(page);
        await page.getByText('As a command').click();
        assert.match((await page.locator('pre').textContent())!, /Bearer \$IPGRAFT_TOKEN/);
        assert.doesNotMatch(await page.content(), /secret/);
        assert.doesNotMatch(await page.evaluate(() => JSON.stringify(localStorage)), /secret/);
        await page.getByRole('link', { name: 'Models' }).click();
        await page.getByRole('heading', { name: 'Models' }).waitFor();
        await page.getByLabel('Token').waitFor();
      },
      refused,
    );
  });

  it('`npm run pictures` opens it, and leaves nothing', async () => {
    const folder = freshFolder();
    const program = spawn(process.execPath, ['dist/fixtures/serve-pictures.js', '--port', '0'], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let said = '';
    for await (const chunk of program.stdout) {
      said += chunk;
      const url = /^listens +(http:.*)$/m.exec(said)?.[1];
      if (url === undefined) continue;
      assert.match(await (await fetch(url)).text(), /<h1>Pictures<\/h1>/);
      program.kill('SIGINT');
    }
    const [code] = program.exitCode === null ? await once(program, 'exit') : [program.exitCode];
    assert.equal(code, 0, said);
    // ONNX Runtime leaves things of its own.
    const left = readdirSync(folder).filter((name) => name.startsWith('ipgraft'));
    assert.deepEqual(left, []);
  });
});
