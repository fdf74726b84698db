import { reportExamples, shortened } from './report-examples.js';
import { REPORTS, type Report, reportSchema } from './reports.js';
import { discriminator, resolved, type Schema } from './type-schema.js';

/** docs/reports.md: every report with its fields and an example. */
export function reportsPage(): string {
  const examples = reportExamples(REPORTS);
  return `# Reports

What each verb prints with \`--json\`: one JSON value on standard output, and nothing else. Every field is always there unless it is called
optional, and there are no others: [schemas](schemas) holds a JSON Schema (draft 2020-12) of each report.

This page and the schemas are made by \`npm run docs\` from the TypeScript types that the commands print, and from their doc comments. The
examples are what the tool printed for a bundled export and a bundled adapter, with long lists cut short. In the names of fields \`[]\`
stands for each element of a list, and \`*\` for each key of an object.

${REPORTS.map((report) => section(report, examples.get(report.name))).join('\n\n')}
`;
}

function section(report: Report, example: unknown): string {
  const { name, file, type } = report;
  const schema = reportSchema(report);
  const parts = [
    `## ${name}`,
    `${schema.description} [Schema](schemas/${name}.schema.json), [\`${type}\`](../${file}).`,
  ];
  const variants = schema.oneOf?.map((each) => resolved(each, schema)) ?? [schema];
  const by = discriminator(variants);
  for (const variant of variants) {
    if (variants.length > 1)
      parts.push(`### ${by} \`${variant.properties![by!]!.const}\``, variant.description!);
    parts.push(['| field | type | meaning |', '|---|---|---|', ...fieldsOf(variant, schema, '')].join('\n'));
  }
  if (example !== undefined)
    parts.push(`\`ipgraft ${report.example}\` prints`, `\`\`\`jsonc\n${shortened(example)}\n\`\`\``);
  return parts.join('\n\n');
}

/** The rows of an object's fields, each followed by those of the objects in it. */
function fieldsOf(schema: Schema, root: Schema, path: string, variant = ''): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const whole = path === '' ? name : `${path}.${name}`;
    // A field that is one literal has no comment of its own: it says which member of a union this is.
    const meaning = field.description ?? resolved(field, root).description ?? schema.description ?? '';
    const optional = schema.required!.includes(name) ? '' : ', optional';
    const row = `| \`${whole}\`${variant} | ${cell(typeText(field, root) + optional)} | ${cell(meaning)} |`;
    return [row, ...inside(field, root, whole)];
  });
}

/** The rows of what a field holds, where that is an object or holds objects. */
function inside(field: Schema, root: Schema, path: string): string[] {
  const schema = resolved(field, root);
  if (schema.items !== undefined) return inside(schema.items, root, `${path}[]`);
  if (schema.additionalProperties) return inside(schema.additionalProperties, root, `${path}.*`);
  const members = (schema.oneOf ?? []).map((each) => resolved(each, root));
  const objects = members.filter(({ properties }) => properties !== undefined);
  const by = objects.length > 1 ? discriminator(objects) : undefined;
  if (by !== undefined)
    return objects.flatMap((each) =>
      fieldsOf(each, root, path, `, ${by} \`${each.properties![by]!.const}\``),
    );
  if (members.length > 0) return members.flatMap((each) => inside(each, root, path));
  return fieldsOf(schema, root, path);
}

/** From here on a list of values is left to the schema. */
const MANY = 12;

function typeText(field: Schema, root: Schema): string {
  const schema = resolved(field, root);
  const { const: only, enum: values, items, additionalProperties, propertyNames, oneOf, type } = schema;
  if (only !== undefined) return `\`${only}\``;
  if (values !== undefined)
    return values.length > MANY
      ? `one of ${values.length} strings`
      : values.map((value) => `\`${value}\``).join(', ');
  if (items !== undefined) return `list of ${grouped(items, root)}`;
  if (additionalProperties) {
    const keys = propertyNames === undefined ? '' : `, with keys ${typeText(propertyNames, root)}`;
    return `object of ${grouped(additionalProperties, root)}${keys}`;
  }
  if (oneOf !== undefined) return [...new Set(oneOf.map((each) => typeText(each, root)))].join(' or ');
  return [type].flat().join(' or ');
}

/** In parentheses where it would not be plain where it ends. */
function grouped(schema: Schema, root: Schema): string {
  const text = typeText(schema, root);
  return / or |,/.test(text) ? `(${text})` : text;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
