import assert from 'node:assert/strict';
import { Node, type SourceFile } from 'ts-morph';
import { LAYERS, nameOf, sources } from '../docs/sources.js';

const files = sources.getSourceFiles();

/** What a file imports in any way, types and `import()` among them: paths from the root for its own, module names for the rest. */
function importsOf(file: SourceFile): string[] {
  return file.getImportStringLiterals().map((literal) => {
    const specifier = literal.getLiteralValue();
    if (!specifier.startsWith('.')) return specifier;
    const [module] = literal.getSymbol()?.getDeclarations() ?? [];
    assert.ok(Node.isSourceFile(module), `${nameOf(file)} imports ${specifier}, which is no file`);
    return nameOf(module);
  });
}

/** The modules that are loaded together with a file. */
function loadedWith(file: SourceFile): string[] {
  return [...file.getImportDeclarations(), ...file.getExportDeclarations()]
    .filter((declaration) => !declaration.isTypeOnly())
    .map((declaration) => declaration.getModuleSpecifierValue() ?? '');
}

describe('architecture', () => {
  it('imports point down: runtime → passes → compiler', () => {
    for (const file of files) {
      const layer = LAYERS.findIndex((name) => nameOf(file).startsWith(`${name}/`));
      for (const imported of importsOf(file).filter((each) => each.endsWith('.ts'))) {
        const other = LAYERS.findIndex((name) => imported.startsWith(`${name}/`));
        assert.ok(other !== -1 && other <= layer, `${nameOf(file)} imports ${imported}`);
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
      const runtimes = (modules: readonly string[]) =>
        modules.filter((module) => /onnxruntime|tensorflow/.test(module));
      assert.deepEqual(runtimes(loadedWith(file)), [], nameOf(file));
      if (!nameOf(file).startsWith('runtime/')) assert.deepEqual(runtimes(importsOf(file)), [], nameOf(file));
    }
  });

  it('no circle of imports between files, types included', () => {
    const edges = new Map(
      files.map((file) => [nameOf(file), importsOf(file).filter((imported) => imported.endsWith('.ts'))]),
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
    const index = sources.getSourceFileOrThrow('runtime/index.ts');
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
