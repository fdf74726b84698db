import assert from 'node:assert/strict';
import type { Browser } from 'playwright-core';
import { sitesIn } from '../../runtime/html/drawn-sites.js';
import { validationReport } from '../../runtime/html/validation-report.js';
import { openModel } from '../../runtime/open.js';
import { adapterPath, modelPath } from '../fixtures.js';
import { patchFile } from '../patched.js';
import { failedValidation, reportOn, writeChain } from '../reports.js';
import {
  browserOrSkip,
  checkAccessible,
  DESK,
  type OpenPage,
  openReport,
  READERS,
  type Reader,
} from './browser.js';

describe('HTML reports in a browser', () => {
  let browser: Browser;
  let comparison: string;
  let validation: string;
  before(async function () {
    browser = await browserOrSkip(this);
    const base = modelPath('sd15-sdpa-ts17');
    const { path } = await patchFile(base, [adapterPath('sd15', 'base')]);
    // With something of everything that a proof may say.
    comparison = await reportOn(base, path, (found) => ({
      ...found,
      proof: {
        ...found.proof!,
        holds: false,
        unexplained: [12, 30],
        faults: ['a fault'],
        open: ['a question'],
      },
    }));
    const model = await openModel(base);
    validation = validationReport(failedValidation(sitesIn(model.graph)), {
      base: 'model.onnx',
      patched: 'patched.onnx',
      graph: model.graph,
    });
    await model.close();
  });
  after(() => browser?.close());

  /** Opens a report, and in the end closes it and looks at what it complained about. */
  async function reading(
    report: string,
    reader: Reader,
    work: (open: OpenPage) => Promise<void>,
  ): Promise<void> {
    const open = await openReport(browser, report, reader);
    await work(open);
    assert.deepEqual(open.complaints, []);
    await open.page.context().close();
  }

  for (const reader of READERS) {
    it(`${reader.width} pixels, ${reader.scheme}: no complaint, nothing beside the page, nothing that axe-core finds`, async () => {
      for (const report of [comparison, validation]) {
        await reading(report, reader, async ({ page }) => {
          const [content, screen] = await page.evaluate(() => [
            document.documentElement.scrollWidth,
            innerWidth,
          ]);
          assert.ok(content! <= screen!, `${content} > ${screen}`);
          const colours = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
          assert.equal(colours, reader.scheme === 'dark' ? 'rgb(18, 19, 21)' : 'rgb(247, 247, 245)');
          for (const svg of await page.locator('svg.unet, svg.graph').all()) {
            const { width, height } = (await svg.boundingBox())!;
            assert.ok(width > 150 && height > 150, `${width} × ${height}`);
          }
          assert.ok((await page.screenshot({ fullPage: true })).length > 60_000);
          await page.locator('summary').evaluateAll((found) => {
            for (const each of found) (each as HTMLElement).click();
          });
          await checkAccessible(page);
        });
      }
    });
  }

  it('a cross-attention opens by keys alone, and “back” goes back', async () => {
    await reading(comparison, DESK, async ({ page }) => {
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate(() => document.activeElement!.textContent), 'Skip to the report');
      await page.keyboard.press('Enter');
      const onSite = () => page.evaluate(() => document.activeElement!.getAttribute('data-site'));
      for (let presses = 0; (await onSite()) === null; presses++) {
        assert.ok(presses < 20, 'no site within 20 presses');
        await page.keyboard.press('Tab');
      }
      await page.keyboard.press('Tab');
      const id = await onSite();
      await page.keyboard.press('Enter');
      await page.waitForURL(`**#site-${id}`);
      const shown = () => page.locator('#site-name').textContent();
      assert.match((await shown())!, new RegExp(` id ${id}, patched$`));
      assert.equal(await page.evaluate(() => document.activeElement!.id), 'site-name');
      assert.equal(await page.locator('.unet [aria-current]').getAttribute('data-site'), id);
      await page.getByRole('button', { name: 'Next', exact: true }).press('Enter');
      await page.waitForURL(`**#site-${Number(id) + 2}`);
      assert.match((await shown())!, new RegExp(` id ${Number(id) + 2}, `));
      await page.goBack();
      assert.match((await shown())!, new RegExp(` id ${id}, `));
      await page.getByRole('combobox', { name: 'Cross-attention' }).selectOption('31');
      assert.match((await shown())!, /^mid_block\.attentions\.0\.transformer_blocks\.0\.attn2 id 31/);
      await page.locator('.after .n.new').first().hover();
      assert.match((await page.locator('#site-node').textContent())!, /ip/);
    });
  });

  it('the table is searched, filtered, sorted and turned', async () => {
    await reading(comparison, DESK, async ({ page }) => {
      const names = () => page.locator('.changes tbody td:nth-child(3)').allTextContents();
      const words = () => page.locator('#change-count').textContent();
      assert.equal((await names()).length, 100);
      const [, all] = /^(\d+) changes$/.exec((await words())!)!;
      await page.getByRole('button', { name: 'Next page' }).click();
      assert.match((await page.locator('#page-words').textContent())!, /^101–200$/);
      await page.getByLabel('Search').fill('TO_K_IP matmul');
      await page.waitForFunction(
        (before) => document.getElementById('change-count')!.textContent !== before,
        `${all} changes`,
      );
      assert.equal(await words(), `16 of ${all} changes`);
      assert.ok((await names()).every((name) => name.includes('/to_k_ip/MatMul')));
      await page.getByRole('button', { name: 'Name' }).click();
      const ascending = await names();
      await page.getByRole('button', { name: 'Name' }).click();
      assert.deepEqual(await names(), ascending.toReversed());
      assert.equal(await page.locator('th[aria-sort]').getAttribute('aria-sort'), 'descending');
      await page.getByLabel('Search').fill('no such thing');
      await page.waitForFunction(() => document.querySelector('.changes tbody')!.childElementCount === 0);
      await page.getByLabel('Search').fill('');
      await page.getByLabel('Kind').selectOption({
        label: /^rewired/.exec(
          (await page.getByLabel('Kind').locator('option').allTextContents()).find((text) =>
            text.startsWith('rewired'),
          )!,
        )!.input,
      });
      const kinds = await page.locator('.changes tbody .mark').allTextContents();
      assert.ok(kinds.length > 40 && kinds.every((kind) => kind === 'rewired'), `${kinds}`);
      await page.getByLabel('Kind').selectOption('');
      await page.getByRole('link', { name: 'see them in the table' }).click();
      assert.equal(await words(), `2 of ${all} changes`);
      assert.deepEqual(await page.locator('.changes tbody td.undeclared').allTextContents(), [
        '✗ nothing',
        '✗ nothing',
      ]);
    });
  });

  it('15,000 changes are searched and sorted without waiting', async () => {
    const chain = (op: string) => writeChain('chain.onnx', [{ op, name: 'only' }]);
    const report = await reportOn(chain('Relu'), chain('Tanh'), (found) => ({
      ...found,
      changes: Array.from({ length: 15_000 }, (_, n) => ({
        subject: 'node',
        a: null,
        b: `/down_blocks.${n % 4}/attentions.0/transformer_blocks.${n % 10}/attn2/node_${n}_output_0`,
        label: `MatMul /down_blocks.${n % 4}/attentions.0/transformer_blocks.${n % 10}/attn2/node_${n}`,
        scope: '',
        aspects: [{ kind: 'added' }],
      })),
    }));
    await reading(report, DESK, async ({ page }) => {
      await page.getByLabel('Search').fill('blocks.3 node_14');
      await page.waitForFunction(() =>
        document.getElementById('change-count')!.textContent!.includes(' of '),
      );
      await page.getByLabel('Search').fill('');
      const milliseconds = await page.evaluate(() => {
        const start = performance.now();
        const search = document.getElementById('change-kind') as HTMLSelectElement;
        search.dispatchEvent(new Event('change'));
        for (const button of document.querySelectorAll<HTMLButtonElement>('.changes th button'))
          button.click();
        return performance.now() - start;
      });
      assert.equal(await page.locator('.changes tbody tr').count(), 100);
      assert.ok(milliseconds < 2000, `filtered once and sorted five times in ${milliseconds} ms`);
    });
  });

  it('a failing cross-attention stands out, and its numbers are one press away', async () => {
    await reading(validation, DESK, async ({ page }) => {
      const link = page.locator('.note.bad a');
      const scope = await link.textContent();
      await link.press('Enter');
      const row = page.locator('tr:target');
      assert.deepEqual(
        [await row.locator('code').textContent(), await row.getAttribute('class')],
        [scope, 'bad'],
      );
      assert.match((await row.textContent())!, /K′ and V′ are swapped/);
      const relative = page.getByRole('button', { name: 'Relative' });
      await relative.press('Enter');
      await relative.press('Enter');
      assert.equal(await page.locator('.numbers tbody tr').first().locator('code').textContent(), scope);
    });
  });

  it('the reader chooses light or dark, and paper is always light', async () => {
    await reading(comparison, DESK, async ({ page }) => {
      const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      await page.getByRole('button', { name: 'Change to dark colours' }).click();
      assert.equal(await ground(), 'rgb(18, 19, 21)');
      await page.emulateMedia({ media: 'print' });
      assert.equal(await page.evaluate(() => getComputedStyle(document.body).color), 'rgb(27, 29, 33)');
      assert.ok((await page.pdf()).length > 20_000);
      await page.emulateMedia({ media: 'screen' });
      await page.getByRole('button', { name: 'Change to light colours' }).click();
      assert.equal(await ground(), 'rgb(247, 247, 245)');
    });
  });

  it('hostile names are read, not run', async () => {
    const hostile = '</script><script>alert(1)</script><img src=x onerror=alert(2)>"\'\u202e';
    const chain = (file: string, ...parts: string[]) =>
      writeChain(
        file,
        parts.map((part) => ({ op: hostile, name: `${part}${hostile}` })),
      );
    const report = await reportOn(chain('a.onnx', 'first', 'last'), chain('b.onnx', 'first', 'new', 'last'));
    await reading(report, DESK, async ({ page }) => {
      assert.equal(await page.locator('img').count(), 0);
      assert.ok((await page.locator('.changes tbody').textContent())!.includes('</script><script>alert(1)'));
      assert.ok((await page.locator('.graph').first().textContent())!.includes('</script><script>alert'));
      await checkAccessible(page);
    });
  });
});
