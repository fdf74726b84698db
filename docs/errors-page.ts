import { basename, dirname } from 'node:path';
import { CATALOGUE, type ErrorCode, EXIT_CODES } from '../compiler/errors.js';
import { thrownCodes } from './thrown-codes.js';

type FamilyOf<Code> = Code extends `${infer Family}_${string}` ? Family : never;

/** What each family of errors is about: all families of the catalogue. */
const FAMILIES: Readonly<Record<FamilyOf<ErrorCode>, string>> = {
  WIRE: 'The bytes of a model are not what protobuf allows.',
  MODEL: 'The model, or a file that belongs to it, cannot be worked with.',
  ADAPTER: 'The adapter’s checkpoint cannot be read, or is for something else.',
  MATCH: 'The cross-attentions were not found, or not for sure.',
  EDIT: 'An edit or a journal does not fit its graph.',
  PASS: 'A pass broke its own promise: a fault in ipgraft.',
  VERIFY: 'The result is not what it must be.',
  SERVER: 'A server cannot start, or does not answer a request.',
  OUTPUT: 'A file cannot be written.',
  OPTION: 'The command line asks for what makes no sense.',
  PIPELINE: 'A picture cannot be made, or not with this pipeline.',
  PACKAGE: 'A model cannot be laid out for another server.',
  RUNTIME: 'A model that is to be run cannot be, or not on these inputs.',
};

/** docs/errors.md: every code of the catalogue, by family, and which files throw it. */
export function errorsPage(): string {
  const codes = Object.entries(CATALOGUE);
  const thrown = thrownCodes();
  const sections = Object.entries(FAMILIES).map(([family, about]) => {
    const rows = codes
      .filter(([code]) => code.startsWith(`${family}_`))
      .map(
        ([code, { when, hint }]) =>
          `| \`${code}\` | ${cell(when)} | ${cell(hint)} | ${links(thrown.get(code) ?? [])} |`,
      );
    return [
      `## ${family}_ (exit code ${EXIT_CODES[family]})`,
      '',
      about,
      '',
      '| code | when | what to do | thrown in |',
      '|---|---|---|---|',
      ...rows,
    ].join('\n');
  });
  return `# Errors

Every error has a code, a message that says what was sought and what was found, the facts as data, and a hint. The part of the code
before the first underscore is its family, which decides the exit code of the command line. With \`--json\` the error is on standard
output as \`{"error": {"code", "message", "facts", "hint"}}\` ([reports](reports.md#error)). When a command fails, nothing is written: no
output file, no temporary file.

This page is made by \`npm run docs\` from the catalogue in [compiler/errors.ts](../compiler/errors.ts) and from all places that throw.

${sections.join('\n\n')}
`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** `compiler/io/write-files.ts` → a link called `write-files`; an index is called by its folder. */
function links(files: readonly string[]): string {
  return files
    .map((file) => {
      const name = basename(file, '.ts');
      return `[${name === 'index' ? dirname(file) : name}](../${file})`;
    })
    .join(', ');
}
