import assert from 'node:assert/strict';
import { dirname, relative, resolve } from 'node:path';
import { Node, Project, type SourceFile } from 'ts-morph';

/** Lower layers first: each may import itself and those before it. */
const LAYERS = ['compiler', 'passes', 'runtime'] as const;

const root = process.cwd();
const project = new Project({ skipAddingFilesFromTsConfig: true });
project.addSourceFilesAtPaths(LAYERS.map((layer) => `${root}/${layer}/**/*.ts`));
const files = project.getSourceFiles();

function nameOf(file: SourceFile): string {
  return relative(root, file.getFilePath());
}

/** What a file imports: paths below the root for its own, module names for the rest. `values` leaves out `import type`. */
function importsOf(file: SourceFile, values = false): string[] {
  const declarations = [...file.getImportDeclarations(), ...file.getExportDeclarations()];
  return declarations
    .filter((declaration) => !values || !declaration.isTypeOnly())
    .map((declaration) => declaration.getModuleSpecifierValue())
    .filter((specifier): specifier is string => specifier !== undefined)
    .map((specifier) =>
      specifier.startsWith('.')
        ? relative(root, resolve(dirname(file.getFilePath()), specifier.replace(/\.js$/, '.ts')))
        : specifier,
    );
}

describe('architecture', () => {
  it('imports point down: runtime → passes → compiler', () => {
    for (const file of files) {
      const layer = LAYERS.findIndex((name) => nameOf(file).startsWith(`${name}/`));
      for (const imported of importsOf(file)) {
        const other = LAYERS.findIndex((name) => imported.startsWith(`${name}/`));
        assert.ok(other <= layer, `${nameOf(file)} imports ${imported}`);
      }
    }
  });

  it('compiler and passes touch no node: module but in compiler/io', () => {
    for (const file of files) {
      const name = nameOf(file);
      if (name.startsWith('runtime/') || name.startsWith('compiler/io/')) continue;
      const found = importsOf(file).filter((imported) => imported.startsWith('node:'));
      assert.deepEqual(found, [], name);
    }
  });

  it('only runtime asks for a model runtime, and no file does so at load time', () => {
    for (const file of files) {
      const found = importsOf(file, true).filter((imported) => /onnxruntime|tensorflow/.test(imported));
      assert.deepEqual(found, [], nameOf(file));
    }
  });

  it('no circle of imports between files', () => {
    const edges = new Map(
      files.map((file) => [
        nameOf(file),
        importsOf(file, true).filter((imported) => imported.endsWith('.ts')),
      ]),
    );
    const done = new Set<string>();
    const visit = (name: string, path: readonly string[]): void => {
      assert.ok(!path.includes(name), [...path, name].join(' → '));
      if (done.has(name)) return;
      for (const imported of edges.get(name) ?? []) visit(imported, [...path, name]);
      done.add(name);
    };
    for (const name of edges.keys()) visit(name, []);
  });

  it('one idea per file: short files and no attic', () => {
    for (const file of files) {
      assert.ok(file.getEndLineNumber() <= 400, `${nameOf(file)} has ${file.getEndLineNumber()} lines`);
      assert.doesNotMatch(nameOf(file), /utils?|helpers?|manager|misc|common/);
    }
  });

  it('every function and class is documented, and everything that the library exports', () => {
    const index = project.getSourceFileOrThrow(`${root}/runtime/index.ts`);
    const exported = [...index.getExportedDeclarations().values()].flat();
    const own = files
      .flatMap((file) => [...file.getFunctions(), ...file.getClasses()])
      .filter((each) => each.isExported());
    const bare = [...own, ...exported]
      .map((declaration) =>
        Node.isVariableDeclaration(declaration) ? declaration.getVariableStatementOrThrow() : declaration,
      )
      .filter((declaration) => Node.isJSDocable(declaration) && declaration.getJsDocs().length === 0)
      .map((declaration) => `${nameOf(declaration.getSourceFile())}: ${declaration.getText().slice(0, 60)}`);
    assert.deepEqual([...new Set(bare)], []);
  });
});
