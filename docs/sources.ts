import { relative } from 'node:path';
import { Project, type SourceFile } from 'ts-morph';

/** Lower layers first: each may import itself and those before it. */
export const LAYERS = ['compiler', 'passes', 'runtime'] as const;

const root = process.cwd();

/** The code of the three layers as the TypeScript compiler reads it, types included. Run from the root of the checkout. */
export const sources = new Project({ tsConfigFilePath: 'tsconfig.json', skipAddingFilesFromTsConfig: true });
sources.addSourceFilesAtPaths(LAYERS.map((layer) => `${layer}/**/*.ts`));

/** `runtime/report.ts`: the path from the root of the checkout. */
export function nameOf(file: SourceFile): string {
  return relative(root, file.getFilePath());
}
