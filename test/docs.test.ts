import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Project } from 'ts-morph';
import type { Pass } from '../compiler/pass.js';
import { runPasses } from '../compiler/run-passes.js';
import { generatedDocs } from '../docs/generated-docs.js';
import { graftOf } from '../passes/graft.js';
import { graftPasses, locate } from '../passes/index.js';
import { planGraft } from '../passes/plan.js';
import { openAdapter, openModel } from '../runtime/open.js';
import { ipgraftProcess } from './command.js';
import { adapterPath, freshFolder, modelPath } from './fixtures.js';

const root = process.cwd();

const pages = [
  'README.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** What the command line prints, which must succeed. */
function printed(...args: readonly string[]): string {
  const { code, stdout, stderr } = ipgraftProcess(...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

/** A text without its measured numbers, which are other ones on another machine. */
function unmeasured(text: string): string {
  return text.replaceAll(/\d+\.\d+(e-\d+)?|\de-\d+/g, '#');
}

describe('docs', () => {
  let made: Map<string, string>;
  before(async () => {
    made = await generatedDocs();
  });

  it('made pages, schemas and pictures are fresh (else: npm run docs)', () => {
    for (const [name, content] of made) {
      const committed = readFileSync(join('docs', name), 'utf8');
      if (name === 'reports.md') assert.equal(unmeasured(committed), unmeasured(content), name);
      else assert.equal(committed, content, name);
    }
  });

  it('nothing else lies among the pictures and the schemas', () => {
    for (const folder of ['pictures', 'schemas'])
      assert.deepEqual(
        readdirSync(join('docs', folder)).toSorted(),
        [...made.keys()].flatMap((name) => (dirname(name) === folder ? [basename(name)] : [])).toSorted(),
      );
  });

  it('pictures are small and bring their own ground, for pages that are dark', () => {
    for (const [name, svg] of made) {
      if (!name.endsWith('.svg')) continue;
      assert.ok(svg.length < 60_000, `${name} has ${svg.length} bytes`);
      assert.match(svg, /<polygon fill="white"/, name);
    }
  });

  it('every relative link leads to a file', () => {
    for (const page of pages) {
      const links = [...readFileSync(page, 'utf8').matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(
        (match) => match[1]!,
      );
      for (const link of links) assert.ok(existsSync(join(dirname(page), link)), `${page}: ${link}`);
    }
  });

  it('what the README says that compile prints is what it prints', () => {
    const shown = /^```\n(base {8}[\s\S]*?)```/m.exec(readFileSync('README.md', 'utf8'))![1]!;
    const folder = join(freshFolder(), 'unet');
    mkdirSync(folder);
    copyFileSync(modelPath('sd15-sdpa-ts17'), join(folder, 'model.onnx'));
    const [base, out] = [join(folder, 'model.onnx'), join(folder, 'patched.onnx')];
    const adapter = adapterPath('sd15', 'base');
    assert.equal(printed('compile', base, '--adapter', adapter, '--scale', 'optional=0.6', '-o', out), shown);
  });

  it('the library example of the README type-checks', () => {
    const code = /```ts\n([\s\S]*?)```/.exec(readFileSync('README.md', 'utf8'))![1]!;
    const project = new Project({ tsConfigFilePath: 'tsconfig.json', skipAddingFilesFromTsConfig: true });
    const file = project.createSourceFile(
      'runtime/readme-example.ts',
      code.replace("'ipgraft'", "'./index.js'"),
    );
    assert.deepEqual(
      file.getPreEmitDiagnostics().map((diagnostic) => diagnostic.getMessageText()),
      [],
    );
  });

  it('the pass of “adding a pass” compiles and does what it says', async () => {
    const code = /```ts\n([\s\S]*?)```/.exec(readFileSync('docs/adding-a-pass.md', 'utf8'))![1]!;
    const project = new Project({ tsConfigFilePath: 'tsconfig.json', skipAddingFilesFromTsConfig: true });
    const file = project.createSourceFile('passes/double-image-tokens.ts', code);
    assert.deepEqual(
      file.getPreEmitDiagnostics().map((diagnostic) => diagnostic.getMessageText()),
      [],
    );
    const folder = join(root, 'dist', 'docs', 'example');
    mkdirSync(folder, { recursive: true });
    const compiled = join(folder, 'double-image-tokens.js');
    writeFileSync(
      compiled,
      file
        .getEmitOutput()
        .getOutputFiles()
        .find((out) => out.getFilePath().endsWith('.js'))!
        .getText()
        .replaceAll("'../", "'../../"),
    );
    const { doubleImageTokens } = (await import(pathToFileURL(compiled).href)) as {
      doubleImageTokens(adapter: number): Pass;
    };

    const model = await openModel(modelPath('sd15-sdpa-dynamo23'));
    const adapter = await openAdapter(adapterPath('sd15', 'base'));
    const located = locate(model.graph, {});
    const options = { tokens: 'input', scale: 'input' } as const;
    const grafts = [graftOf(adapter, located)];
    const [tokens, kv, ...rest] = graftPasses(planGraft(model.graph, located, grafts, options), {});
    const { graph } = runPasses(model, [tokens!, kv!, doubleImageTokens(0), ...rest]);
    assert.equal(graph.uses('/ip_adapter/doubled_tokens').length, 32);
    await Promise.all([model.close(), adapter.close()]);
  });
});
