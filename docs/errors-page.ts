import { CATALOGUE, EXIT_CODES } from '../compiler/errors.js';

/** What each family of errors is about. */
const FAMILIES: Readonly<Record<string, string>> = {
  WIRE: 'The bytes of a model are not what protobuf allows.',
  MODEL: 'The model, or a file that belongs to it, cannot be worked with.',
  ADAPTER: 'The adapter’s checkpoint cannot be read, or is for something else.',
  MATCH: 'The cross-attentions were not found, or not for sure.',
  EDIT: 'An edit or a journal does not fit its graph.',
  PASS: 'A pass broke its own promise: a fault in ipgraft.',
  VERIFY: 'The result is not what it must be.',
  OUTPUT: 'A file cannot be written.',
  OPTION: 'The command line asks for what makes no sense.',
  RUNTIME: 'A model that is to be run cannot be, or not on these inputs.',
};

/** docs/errors.md: every code of the catalogue, by family. */
export function errorsPage(): string {
  const codes = Object.entries(CATALOGUE);
  const sections = Object.entries(FAMILIES).map(([family, about]) => {
    const rows = codes
      .filter(([code]) => code.startsWith(`${family}_`))
      .map(([code, { when, hint }]) => `| \`${code}\` | ${cell(when)} | ${cell(hint)} |`);
    return [
      `## ${family}_ (exit code ${EXIT_CODES[family]})`,
      '',
      about,
      '',
      '| code | when | what to do |',
      '|---|---|---|',
      ...rows,
    ].join('\n');
  });
  return `# Errors

Every error has a code, a message that says what was sought and what was found, the facts as data, and a hint. The part of the code
before the first underscore is its family, which decides the exit code of the command line. With \`--json\` the error is on standard
output as \`{"error": {"code", "message", "facts", "hint"}}\`. When a command fails, nothing is written: no output file, no temporary file.

This page is made from the catalogue in [compiler/errors.ts](../compiler/errors.ts) by \`npm run docs\`.

${sections.join('\n\n')}
`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
