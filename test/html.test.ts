import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { ModelDiff } from '../compiler/diff/model-diff.js';
import { bufferSource } from '../compiler/io/byte-source.js';
import { inputFile } from '../compiler/io/input-file.js';
import { readModel } from '../compiler/onnx/read-model.js';
import { compile } from '../runtime/compile.js';
import { diffReport } from '../runtime/html/diff-report.js';
import { sitesIn } from '../runtime/html/drawn-sites.js';
import { dataIsland, html } from '../runtime/html/markup.js';
import type { ChangesData, SiteData } from '../runtime/html/report-data.js';
import { validationReport } from '../runtime/html/validation-report.js';
import { writeReport } from '../runtime/html/write-report.js';
import { type OpenedModel, openAdapter, openModel } from '../runtime/open.js';
import { ipgraft, ipgraftProcess, placeModel } from './command.js';
import { adapterPath, fixturePath, formPath, freshFolder, modelPath } from './fixtures.js';
import { patchFile } from './patched.js';
import { byEdits, failedValidation, reportOn, sdxlAdapter, writeChain } from './reports.js';

/** What is written between the tags of the element with this id. */
function island<T>(page: string, id: string): T {
  const found = new RegExp(`<script type="application/json" id="${id}">(.*?)</script>`, 's').exec(page);
  assert.ok(found, `no ${id}`);
  return JSON.parse(found[1]!) as T;
}

/** Every start tag of a page outside of its own script and style. */
function tags(page: string): string[] {
  const own = page.replace(/(<(?:style|script)>)[\s\S]*?(<\/(?:style|script)>)/g, '$1$2');
  return own.match(/<[a-zA-Z][^>]*>/g) ?? [];
}

/** What must hold of every page: nothing from outside, nothing that runs but its own script, nothing invisible. */
function checkSafe(page: string): void {
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)![1]!;
  for (const [tag, directive] of [
    ['style', 'style-src'],
    ['script', 'script-src'],
  ]) {
    const content = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(page)![1]!;
    const digest = createHash('sha256').update(content).digest('base64');
    assert.ok(policy.includes(`${directive} &#39;sha256-${digest}&#39;`), `${directive} of ${policy}`);
  }
  assert.ok(policy.startsWith('default-src &#39;none&#39;'), policy);
  for (const tag of tags(page)) {
    assert.doesNotMatch(tag.replace(/"[^"]*"/g, ''), /\s(?:on\w+|style|src|srcset|action|formaction)\s*=/i);
    assert.doesNotMatch(tag, /^<(?:link|img|iframe|object|embed|base|form [^>]*action)/i);
    const href = /\shref="([^"]*)"/.exec(tag)?.[1];
    assert.ok(href === undefined || href.startsWith('#'), tag);
  }
  const scripts = page.match(/<script[^>]*>/g)!;
  assert.ok(
    scripts.every(
      (tag) => tag === '<script>' || /^<script type="application\/json" id="\w+-data">$/.test(tag),
    ),
    `${scripts}`,
  );
  assert.equal(scripts.filter((tag) => tag === '<script>').length, 1);
  assert.doesNotMatch(page.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
}

describe('HTML report of a comparison', () => {
  it('shows a compiled model: that it is proved, every cross-attention, every change; the same text each time', async () => {
    const base = modelPath('sd15-sdpa-ts17');
    const { path } = await patchFile(base, [adapterPath('sd15', 'base')]);
    let found: ModelDiff | undefined;
    const report = () => reportOn(base, path, (each) => (found = each));
    const page = await report();
    checkSafe(page);
    assert.equal(await report(), page);
    assert.ok(found!.proof!.holds);
    assert.match(page, /B is A with the declared edits, and nothing else/);
    assert.match(page, /All 16 cross-attentions are patched\./);
    const sites = island<SiteData[]>(page, 'sites-data');
    assert.deepEqual(
      sites.map(({ id }) => id),
      Array.from({ length: 16 }, (_, n) => 2 * n + 1),
    );
    for (const { id, before, after, drawing } of sites) {
      assert.match(page, new RegExp(`href="#site-${id}"`));
      const [, first, second] = new RegExp(
        `<template id="drawing-${drawing}">(.*?<svg.*?)(<figure class="after">.*?)</template>`,
        's',
      ).exec(page)!;
      assert.equal(first!.match(/data-n=/g)!.length, before.length);
      assert.equal(second!.match(/data-n=/g)!.length, after.length);
      assert.deepEqual(
        before.filter((name) => name.includes('ip')),
        [],
      );
      assert.equal(after.filter((name) => /to_[kv]_ip/.test(name) && !name.endsWith('.weight')).length, 2);
      assert.equal(
        second!.match(/class="e rewired"/g)!.length,
        3,
        'to_k, to_v and to_out.0 read another value',
      );
    }
    assert.equal(page.match(/<template /g)!.length, 1, 'attentions of one form share a drawing');
    const { rows, edits } = island<ChangesData>(page, 'changes-data');
    assert.equal(rows.length, found!.changes.length);
    for (const row of rows) assert.ok(edits![row[5]] !== undefined, `${row}`);
  });

  it('draws the blocks of a UNet, those without cross-attentions among them', async () => {
    const base = modelPath('sd15-sdpa-dynamo23');
    const page = await reportOn(base, base);
    checkSafe(page);
    assert.match(page, /The two models are the same/);
    const blocks = [...page.matchAll(/<g class="block( empty)?">.*?<text [^>]*>([^<]*)</g)].map(
      ([, empty, name]) => [name, empty !== undefined],
    );
    assert.deepEqual(blocks, [
      ['down_blocks.0', false],
      ['down_blocks.1', false],
      ['down_blocks.2', false],
      ['down_blocks.3', true],
      ['mid_block', false],
      ['up_blocks.0', true],
      ['up_blocks.1', false],
      ['up_blocks.2', false],
      ['up_blocks.3', false],
    ]);
    assert.equal(page.match(/class="site untouched"/g)!.length, 16);
  });

  it('says of a changed model what no edit declares, and lists faults and what was not compared', async () => {
    const base = modelPath('sd15-sdpa-ts17');
    const { path } = await patchFile(base, [adapterPath('sd15', 'base')], {}, { weights: 'copy' });
    const bytes = readFileSync(path);
    bytes[bytes.indexOf('conv_out.bias') + 20]! ^= 1;
    const changed = join(freshFolder(), 'changed.onnx');
    writeFileSync(changed, bytes);
    let undeclared: (string | null)[] = [];
    const page = await reportOn(base, changed, (found) => {
      undeclared = found.proof!.unexplained.map((i) => found.changes[i]!.b);
      return { ...found, proof: { ...found.proof!, open: ['weights of 3 GB'] } };
    });
    assert.match(page, /B is not A with the declared edits alone/);
    assert.match(page, /<h3>Faults<\/h3><ul><li>VERIFY_BASE_CHANGED: /);
    assert.match(page, /<h3>Not compared<\/h3><ul><li>weights of 3 GB<\/li>/);
    const { rows } = island<ChangesData>(page, 'changes-data');
    assert.ok(undeclared.length > 0);
    assert.deepEqual(
      rows.filter((row) => row[5] === -1).map((row) => row[2]),
      undeclared,
    );
  });

  it('shows another export of the same UNet beside it, by the names of its modules', async () => {
    const page = await reportOn(modelPath('sd15-sdpa-ts17'), modelPath('sd15-sdpa-dynamo23'));
    checkSafe(page);
    assert.match(page, /None of the 16 cross-attentions is patched; 16 changed otherwise\./);
    assert.ok(island<SiteData[]>(page, 'sites-data').every(({ after }) => after.length > 5));
    assert.ok(island<ChangesData>(page, 'changes-data').rows.length > 5000);
    assert.ok(page.length < 2e6, `${page.length}`);
  });

  for (const [form, boxes] of [
    ['compact-int8', 'quantized'],
    ['compact-mhapacked', 'packed keys and values'],
    ['compact-anonymous-ts17', 'without names'],
    ['compact-ldm', 'latent-diffusion’s names'],
  ] as const) {
    it(`${boxes}: every cross-attention is drawn, and no more than that`, async () => {
      const base = formPath(form);
      const { path } = await patchFile(base, [fixturePath('forms', 'compact.adapter.safetensors')]);
      const page = await reportOn(base, path);
      checkSafe(page);
      assert.equal(page.match(/class="site patched"/g)!.length, 16);
      for (const { before, after } of island<SiteData[]>(page, 'sites-data')) {
        assert.ok(before.length > 4 && before.length < 40, `${before.length}`);
        assert.ok(after.length > before.length + 8 && after.length < 70, `${after.length}`);
      }
    });
  }

  it('draws what is around few changes where there is no cross-attention', async () => {
    const a = writeChain(
      'a.onnx',
      ['Relu', 'Sigmoid', 'Tanh'].map((op) => ({ op, name: op.toLowerCase() })),
    );
    const b = writeChain(
      'b.onnx',
      ['Relu', 'Exp', 'Sigmoid', 'Tanh'].map((op) => ({ op, name: op.toLowerCase() })),
    );
    const page = await reportOn(a, b);
    checkSafe(page);
    const [, before, after] =
      /<figure class="before">(.*?)<\/figure><figure class="after">(.*?)<\/figure>/s.exec(page)!;
    const boxes = (part: string) =>
      [...part.matchAll(/<g class="n (\w+)" data-n="\d+"><title>([^<]*)</g)].map((match) =>
        match.slice(1, 3),
      );
    assert.deepEqual(boxes(before!), [
      ['kept', 'relu'],
      ['kept', 'sigmoid'],
      ['kept', 'tanh'],
      ['value', 'x'],
    ]);
    assert.deepEqual(boxes(after!), [
      ['kept', 'relu'],
      ['new', 'exp'],
      ['kept', 'sigmoid'],
      ['kept', 'tanh'],
      ['value', 'x'],
    ]);
    assert.equal(after!.match(/class="e rewired"/g)!.length, 1);
  });

  it('shows SDXL’s 70 cross-attentions in a few megabytes and less than ten seconds', async () => {
    // Its weights are in a file that is not there, which `openModel` would refuse.
    const content = gunzipSync(readFileSync(fixturePath('full-size', 'sdxl-fp16.onnx.gz')));
    const base = { ...(await readModel(bufferSource(content))), files: [] } as unknown as OpenedModel;
    const adapter = await openAdapter(sdxlAdapter());
    const { graph } = await compile(base, { adapters: [adapter] });
    const start = performance.now();
    const page = await diffReport(byEdits(base.graph, graph), base.graph, graph);
    const seconds = (performance.now() - start) / 1000;
    await adapter.close();
    assert.equal(island<SiteData[]>(page, 'sites-data').length, 70);
    assert.ok(page.length < 3e6, `${page.length}`);
    assert.ok(seconds < 10, `${seconds} s`);
  });
});

const HOSTILE =
  '</script><script>alert(1)</script><img src=x onerror="alert(2)">\'&amp;\u202e\u0000\ud800<!--';

describe('hostile names in an HTML report', () => {
  it('any text is text: in elements, in attributes, in data', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.constant(HOSTILE)), (text) => {
        const page = html`<p title="${text}">${text}</p>`.text;
        assert.match(page, /^<p title="[^"<>]*">[^<>]*<\/p>$/);
        const data = dataIsland('some-data', { text: [text] }).text;
        assert.equal(data.match(/</g)!.length, 2, data);
        assert.doesNotMatch(page + data, /[\p{Cc}\p{Cf}\p{Cs}]/u);
      }),
    );
  });

  it('names of nodes and operators, file names, and texts of 100 kB', async () => {
    const long = HOSTILE.replace('\ud800', 'x'.repeat(100_000));
    const op = HOSTILE.replace('\ud800', '');
    const links = (middle: string) => [
      // The longest that is read.
      { op, name: `${middle}${long.slice(0, 16_000)}` },
      { op, name: `end${op}` },
    ];
    const page = await reportOn(
      writeChain('a.onnx', links('c')),
      writeChain('b.onnx', links('d')),
      (found) => ({
        ...found,
        a: { ...found.a, file: HOSTILE },
        changes: found.changes.map((change) => ({ ...change, scope: change.scope || HOSTILE })),
        proof: {
          holds: false,
          source: 'journal',
          edits: 1,
          explained: [],
          unexplained: found.changes.map((_, i) => i),
          faults: [HOSTILE, long],
          open: [HOSTILE],
        },
      }),
    );
    checkSafe(page);
    assert.match(page, /\\u\{202e\}/);
    assert.ok(page.length < 150_000, `${page.length}`);
  });

  it('names in a UNet: of a node that is drawn, and of one that was rewired', async () => {
    const bytes = readFileSync(modelPath('sd15-sdpa-ts17'));
    for (const name of ['Softmax', 'to_out.0/MatMul']) {
      const old = Buffer.from(`/mid_block/attentions.0/transformer_blocks.0/attn2/${name}`);
      const bad = Buffer.from(
        `</script><script>alert()</script>\u202e"'${name[0]}<!--`.padEnd(old.length - 2, '.'),
      );
      assert.equal(bad.length, old.length);
      for (let at = bytes.indexOf(old); at >= 0; at = bytes.indexOf(old, at + 1)) bad.copy(bytes, at);
    }
    const base = join(freshFolder(), 'base.onnx');
    writeFileSync(base, bytes);
    const { path } = await patchFile(base, [adapterPath('sd15', 'base')]);
    const page = await reportOn(base, path);
    checkSafe(page);
    const { rows } = island<ChangesData>(page, 'changes-data');
    assert.equal(rows.filter((row) => row[3].includes('<script>alert()')).length, 1);
    const mid = island<SiteData[]>(page, 'sites-data').at(-1)!;
    assert.equal(mid.before.filter((name) => name.includes('<script>alert()')).length, 2);
  });

  it('in a validation', async () => {
    const model = await openModel(modelPath('sd15-sdpa-ts17'));
    const sites = sitesIn(model.graph).map((site) => ({ ...site, scope: `${site.scope}${HOSTILE}` }));
    const found = failedValidation(sites);
    const hostile = {
      ...found,
      warnings: [HOSTILE],
      checks: found.checks.map((check) => ({ ...check, name: HOSTILE, detail: HOSTILE })),
    };
    checkSafe(validationReport(hostile, { base: HOSTILE, patched: HOSTILE, graph: model.graph }));
    await model.close();
  });
});

describe('HTML report of a validation', () => {
  it('says what failed and why, with every check and every number; the same text each time', async () => {
    const model = await openModel(modelPath('sd15-sdpa-ts17'));
    const found = failedValidation(sitesIn(model.graph));
    const models = { base: 'model.onnx', patched: 'patched.onnx', graph: model.graph };
    const page = validationReport(found, models);
    await model.close();
    checkSafe(page);
    assert.equal(validationReport(found, models), page);
    assert.match(page, /1 check fails; 1 of 16 cross-attentions differs by more than is allowed/);
    assert.equal(page.match(/K′ and V′ are swapped/g)!.length, 2);
    assert.equal(page.match(/<tr role="row" id="site-\d+" class="good">/g)!.length, 15);
    assert.equal(page.match(/<tr role="row" id="site-\d+" class="bad">/g)!.length, 1);
    assert.equal(page.match(/class="site fails"/g)!.length, 1);
    const widths = [...page.matchAll(/class="bar-(?:good|bad)" x="4" y="\d+" width="([\d.]+)"/g)].map(
      (match) => Number(match[1]),
    );
    assert.equal(widths[0], 0, 'no difference has no bar');
    assert.ok(widths[1]! > Math.max(...widths.slice(2)), 'the largest difference has the longest bar');
  });

  it('numbers that are not finite have a full bar', async () => {
    const model = await openModel(modelPath('sd15-sdpa-ts17'));
    const found = failedValidation(sitesIn(model.graph));
    const sites = found.sites.map((site) => ({
      ...site,
      relative: Number.POSITIVE_INFINITY,
      difference: Number.NaN,
    }));
    const page = validationReport({ ...found, sites }, { base: 'a', patched: 'b', graph: model.graph });
    await model.close();
    assert.equal(page.match(/<rect class="bar-\w+" [^>]*width="212"/g)!.length, 16);
    assert.equal(page.match(/>not finite</g)!.length, 32);
    assert.doesNotMatch(page, / (?:x|y|d|width|height)="[^"]*(?:NaN|Infinity)/);
  });

  it('is written by `ipgraft validate --html`, never over a model, and over another file only when told', async () => {
    const { folder, base } = placeModel('sd15-sdpa-ts17');
    const [patched, report] = [join(folder, 'patched.onnx'), join(folder, 'report.html')];
    assert.equal((await ipgraft('compile', base, '-a', adapterPath('sd15', 'base'), '-o', patched)).code, 0);
    const shapes = ['--shape', 'sample=2x4x16x16', '--shape', 'encoder_hidden_states=2x7x24'];
    const first = ipgraftProcess('validate', base, patched, ...shapes, '--html', report);
    assert.deepEqual([first.code, first.stderr], [0, '']);
    checkSafe(readFileSync(report, 'utf8'));
    assert.match(readFileSync(report, 'utf8'), /patched\.onnx beside [\w-]+\.onnx/);
    const again = await ipgraft('validate', base, patched, ...shapes, '--html', report);
    assert.match(again.stderr, /^OUTPUT_EXISTS: /);
    await writeReport(report, 'another', { force: true });
    assert.equal(readFileSync(report, 'utf8'), 'another');
    const inputs = [await inputFile(base)];
    await assert.rejects(writeReport(base, '', { force: true, inputs }), { code: 'OUTPUT_IS_INPUT' });
    assert.ok(readFileSync(base).length > 0);
  });
});
