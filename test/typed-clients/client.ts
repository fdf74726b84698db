import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Project, ts } from 'ts-morph';
import { openModel } from '../../runtime/open.js';
import { type TypedClientOptions, typedClient } from '../../runtime/typed-client/typed-client.js';
import { freshFolder } from '../fixtures.js';

/** The client of a model file, as text. */
export async function clientOf(path: string, options: Partial<TypedClientOptions> = {}): Promise<string> {
  const model = await openModel(path);
  try {
    return (await typedClient(model, { name: 'Unet', ...options })).text;
  } finally {
    await model.close();
  }
}

/** The strictest that users have. */
export const STRICT = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noUnusedLocals: true,
  noUnusedParameters: true,
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  isolatedModules: true,
  noEmit: true,
} as const;

/**
 * What TypeScript has against modules, by file and line: `use.ts:12: Type '3' is not assignable to type '2'.` They lie in one folder, from which
 * packages are found as from here.
 */
export function complaints(files: Readonly<Record<string, string>>): string[] {
  const project = new Project({
    compilerOptions: {
      ...STRICT,
      // onnxruntime-node's own types name what only browsers have.
      skipLibCheck: true,
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      lib: ['lib.es2022.d.ts'],
      types: ['node'],
    },
  });
  for (const [name, text] of Object.entries(files))
    project.createSourceFile(join(process.cwd(), 'test', 'not-on-disk', name), text);
  return project.getPreEmitDiagnostics().map((diagnostic) => {
    const text = diagnostic.getMessageText();
    const message = typeof text === 'string' ? text : text.getMessageText();
    return `${diagnostic.getSourceFile()?.getBaseName()}:${diagnostic.getLineNumber()}: ${message}`;
  });
}

/** A client as JavaScript, loaded; what it exports is whatever its types said. */
// biome-ignore lint/suspicious/noExplicitAny: the types went away with the translation.
export async function loadClient(text: string): Promise<any> {
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  const path = join(freshFolder(), 'client.mjs');
  writeFileSync(path, outputText);
  return import(pathToFileURL(path).href);
}
