import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Node, Project, SyntaxKind } from 'ts-morph';
import { CATALOGUE } from '../compiler/errors.js';
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
const sources = new Project({ skipAddingFilesFromTsConfig: true });
sources.addSourceFilesAtPaths(['compiler', 'passes', 'runtime'].map((layer) => `${root}/${layer}/**/*.ts`));

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

/** The string literals of an expression that is a code or chooses between codes; a variable has ErrorCode as its type. */
function codesIn(expression: Node): string[] {
  return [expression, ...expression.getDescendants()]
    .filter(Node.isStringLiteral)
    .map((literal) => literal.getLiteralValue());
}

describe('docs', () => {
  it('made pages and pictures are fresh (else: npm run docs), and nothing else lies among the pictures', async () => {
    const made = await generatedDocs();
    for (const [name, content] of made) {
      assert.equal(readFileSync(join('docs', name), 'utf8'), content, name);
    }
    const pictures = [...made.keys()].filter((name) => name.startsWith('pictures/'));
    assert.deepEqual(
      readdirSync('docs/pictures').toSorted(),
      pictures.map((name) => basename(name)).toSorted(),
    );
  });

  it('pictures are small and bring their own ground, for pages that are dark', async () => {
    for (const [name, svg] of await generatedDocs()) {
      if (!name.endsWith('.svg')) continue;
      assert.ok(svg.length < 60_000, `${name} has ${svg.length} bytes`);
      assert.match(svg, /<polygon fill="white"/, name);
    }
  });

  it('every error code is thrown somewhere, every code that is thrown is in the catalogue, and the page has them all', () => {
    const literals = sources
      .getSourceFiles()
      .filter((file) => !file.getFilePath().endsWith('/compiler/errors.ts'))
      .flatMap((file) => file.getDescendantsOfKind(SyntaxKind.StringLiteral));
    const named = new Set(literals.map((literal) => literal.getLiteralValue()));
    const codes = Object.keys(CATALOGUE);
    assert.deepEqual(
      codes.filter((code) => !named.has(code)),
      [],
      'never thrown',
    );
    const thrown = sources
      .getSourceFiles()
      .flatMap((file) => file.getDescendantsOfKind(SyntaxKind.NewExpression))
      .filter((made) => made.getExpression().getText() === 'IpgraftError')
      .flatMap((made) => codesIn(made.getArguments()[0]!));
    assert.ok(thrown.length > 50);
    assert.deepEqual(
      thrown.filter((code) => !(code in CATALOGUE)),
      [],
      'not in the catalogue',
    );
    const page = readFileSync('docs/errors.md', 'utf8');
    assert.deepEqual(
      codes.filter((code) => !page.includes(`| \`${code}\` |`)),
      [],
      'not on the page',
    );
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
      // Models of their own, not steps of the pipeline.
      .filter((name) => name !== 'image-projection' && name !== 'image-kv');
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
    const options = [...printed('help', 'compile').matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)]
      .map((match) => match[1]!)
      .filter((option) => option !== '--help');
    const listed = new Set(readFileSync('README.md', 'utf8').match(/--[a-z][a-z-]+/g));
    assert.ok(options.length > 12);
    for (const option of options) assert.ok(listed.has(option), option);
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
