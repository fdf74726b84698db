import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Project, SyntaxKind } from 'ts-morph';
import { CATALOGUE } from '../compiler/errors.js';
import type { Pass } from '../compiler/pass.js';
import { runPasses } from '../compiler/run-passes.js';
import { generatedDocs } from '../docs/generated-docs.js';
import { graftOf } from '../passes/graft.js';
import { graftPasses, locate } from '../passes/index.js';
import { openAdapter, openModel } from '../runtime/open.js';
import { adapterPath, modelPath } from './fixtures.js';

const root = process.cwd();
const sources = new Project({ skipAddingFilesFromTsConfig: true });
sources.addSourceFilesAtPaths(['compiler', 'passes', 'runtime'].map((layer) => `${root}/${layer}/**/*.ts`));

const pages = [
  'README.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

describe('docs', () => {
  it('made pages and pictures are fresh (else: npm run docs)', async () => {
    for (const [name, content] of await generatedDocs()) {
      assert.equal(readFileSync(join('docs', name), 'utf8'), content, name);
    }
  });

  it('every error code is used somewhere, and every code that is used is in the catalogue', () => {
    const used = new Set(
      sources.getSourceFiles().flatMap((file) =>
        file.getFilePath().endsWith('/errors.ts')
          ? []
          : file
              .getDescendantsOfKind(SyntaxKind.StringLiteral)
              .map((literal) => literal.getLiteralValue())
              .filter((value) => /^[A-Z]+_[A-Z_]+$/.test(value)),
      ),
    );
    const unused = Object.keys(CATALOGUE).filter((code) => !used.has(code));
    assert.deepEqual(unused, []);
  });

  it('every pass has a section and a picture, and every section a pass', () => {
    const names = sources
      .getSourceFiles()
      .filter((file) =>
        file
          .getFunctions()
          .some((each) => each.isExported() && each.getReturnTypeNode()?.getText() === 'Pass'),
      )
      .map((file) => file.getBaseNameWithoutExtension())
      // A model of its own, not a step of the pipeline.
      .filter((name) => name !== 'image-projection');
    const page = readFileSync('docs/passes.md', 'utf8');
    const sections = [...page.matchAll(/^## (\S+)$/gm)].map((match) => match[1]!);
    assert.deepEqual(sections.toSorted(), names.toSorted());
    for (const name of names) assert.ok(existsSync(`docs/pictures/${name}.svg`), name);
  });

  it('every relative link leads to a file', () => {
    for (const page of pages) {
      const links = [...readFileSync(page, 'utf8').matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(
        (match) => match[1]!,
      );
      for (const link of links) assert.ok(existsSync(join(dirname(page), link)), `${page}: ${link}`);
    }
  });

  it('the README lists every option of compile', () => {
    const help = spawnSync(process.execPath, ['dist/runtime/cli/main.js', 'help', 'compile'], {
      encoding: 'utf8',
    }).stdout;
    const options = [...help.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)]
      .map((match) => match[1]!)
      .filter((option) => option !== '--help');
    const readme = readFileSync('README.md', 'utf8');
    assert.ok(options.length > 12);
    for (const option of options) assert.ok(readme.includes(`${option}`), option);
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
    const grafts = [graftOf(adapter, located.attentions)];
    const [tokens, kv, ...rest] = graftPasses({ graph: model.graph, located, grafts, options, stamp: {} });
    const { graph } = runPasses(model, [tokens!, kv!, doubleImageTokens(0), ...rest]);
    assert.equal(graph.uses('/ip_adapter/doubled_tokens').length, 32);
    await Promise.all([model.close(), adapter.close()]);
  });
});
