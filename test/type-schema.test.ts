import assert from 'node:assert/strict';
import { Project } from 'ts-morph';
import { type Schema, typeSchema } from '../docs/type-schema.js';

const project = new Project({ tsConfigFilePath: 'tsconfig.json', skipAddingFilesFromTsConfig: true });

/** The schema of the type `Root` of a source text. */
function schemaOf(code: string): Schema {
  // A comment behind a brace, on its line, is no doc comment.
  const lines = code.replaceAll('/**', '\n/**');
  const file = project.createSourceFile('docs/type-schema-example.ts', lines, { overwrite: true });
  return typeSchema(file.getInterface('Root') ?? file.getTypeAliasOrThrow('Root'));
}

/** The schema of a type that a field has, beside the declarations that it needs. */
function fieldOf(type: string, declarations = ''): Schema {
  const { properties } = schemaOf(
    `${declarations}\n/** Root. */ export interface Root {\n/** Field. */ field: ${type} }`,
  );
  const { description, ...field } = properties!.field!;
  assert.equal(description, 'Field.');
  return field;
}

const NAMED = '/** Named. */ interface Named { /** A. */ a: number }';
const SHAPES = `/** One. */ interface One { kind: 'one'; /** X. */ x: number }
/** Two. */ interface Two { kind: 'two'; /** Y. */ y: string }`;

const KNOWN: readonly [type: string, schema: Schema, declarations?: string][] = [
  ['string', { type: 'string' }],
  ['number', { type: 'number' }],
  ['boolean', { type: 'boolean' }],
  ["'a'", { const: 'a' }],
  ['2', { const: 2 }],
  ['false', { const: false }],
  ['null', { type: 'null' }],
  ['(string)', { type: 'string' }],
  ['readonly string[]', { type: 'array', items: { type: 'string' } }],
  ['number[][]', { type: 'array', items: { type: 'array', items: { type: 'number' } } }],
  ['number | string | null', { type: ['number', 'string', 'null'] }],
  ["'b' | 'a'", { enum: ['b', 'a'] }],
  ["'b' | 'a' | null", { enum: ['b', 'a', null] }],
  ["'c' | Some", { enum: ['c', 'b', 'a'] }, "/** Some. */ type Some = 'b' | 'a';"],
  ['Named', { $ref: '#/$defs/Named' }, NAMED],
  ['Named | null', { oneOf: [{ $ref: '#/$defs/Named' }, { type: 'null' }] }, NAMED],
  ['One | Two', { oneOf: [{ $ref: '#/$defs/One' }, { $ref: '#/$defs/Two' }] }, SHAPES],
  [
    'string | null | string[]',
    { oneOf: [{ type: 'array', items: { type: 'string' } }, { type: ['string', 'null'] }] },
  ],
  ['Record<string, number>', { type: 'object', additionalProperties: { type: 'number' } }],
  [
    "Readonly<Record<'a' | 'b', null>>",
    {
      type: 'object',
      propertyNames: { enum: ['a', 'b'] },
      additionalProperties: { type: 'null' },
      required: ['a', 'b'],
    },
  ],
  [
    "Partial<Record<'a' | 'b', null>>",
    { type: 'object', propertyNames: { enum: ['a', 'b'] }, additionalProperties: { type: 'null' } },
  ],
  ["(One | Two)['kind']", { enum: ['one', 'two'] }, SHAPES],
  ['keyof One', { enum: ['kind', 'x'] }, SHAPES],
  ['(typeof LIST)[number]', { enum: ['a', 'b'] }, "const LIST = ['b', 'a'] as const;"],
];

const REFUSED: readonly [type: string, message: RegExp, declarations?: string][] = [
  ['any', /any has no JSON Schema/],
  ['unknown', /unknown has no JSON Schema/],
  ['undefined', /undefined has no JSON Schema/],
  ['bigint', /bigint has no JSON Schema/],
  ['10n', /10n has no JSON Schema/],
  ['() => void', /has no JSON Schema/],
  ['[number, string]', /has no JSON Schema/],
  [`\`a\${string}\``, /has no JSON Schema/],
  ['Named & { b: 1 }', /has no JSON Schema/, NAMED],
  ['Date', /Date has no JSON Schema/],
  ['Uint8Array', /Uint8Array has no JSON Schema/],
  ['Map<string, number>', /Map has no JSON Schema/],
  ['Partial<Named>', /Partial has no JSON Schema/, NAMED],
  ['Record<number, string>', /keys that are no strings/],
  ['Record<1 | 2, string>', /keys that are no strings/],
  ['Sized', /neither an interface nor a type alias/, 'class Sized {}'],
  ['Box<string>', /Box has type arguments/, '/** Box. */ interface Box<T> { /** In it. */ in: T }'],
  ['Longer', /Longer extends another type/, `${NAMED} /** L. */ interface Longer extends Named {}`],
  ['Indexed', /is no field of its own/, '/** I. */ interface Indexed { [name: string]: number }'],
  ['Bare', /Bare has no doc comment/, 'interface Bare {}'],
  ['Bare', /size has no doc comment/, '/** Bare. */ interface Bare { /* No doc comment. */ size: number }'],
  ['Bare', /Bare has no doc comment/, '/** @deprecated */ interface Bare {}'],
  [
    '(Named | Inner.Named)[]',
    /two types have the name Named/,
    `${NAMED} namespace Inner { /** Other. */ export interface Named {} }`,
  ],
  ['One | Named', /JSON cannot tell apart/, `${SHAPES} ${NAMED}`],
  ['One | Other', /JSON cannot tell apart/, `${SHAPES} /** O. */ type Other = { kind: 'one' };`],
  ['string[] | number[]', /JSON cannot tell apart/],
  ["string | 'a'", /JSON cannot tell apart/],
  ['List', /used in its own definition/, '/** L. */ type List = null | List | { kind: 1 };'],
];

describe('typeSchema', () => {
  for (const [type, schema, declarations] of KNOWN)
    it(`knows ${type}`, () => {
      assert.deepEqual(fieldOf(type, declarations), schema);
    });

  for (const [type, message, declarations] of REFUSED)
    it(`refuses ${type}: ${message.source}`, () => {
      assert.throws(() => fieldOf(type, declarations), message);
    });

  it('closes objects, and leaves what is optional out of what is required', () => {
    const code = `/** What it is. */ export interface Root {
      /** In one
       * line: see {@link Root}. */
      readonly some: string;
      readonly kind: 'root';
      /** Perhaps. */
      readonly more?: { /** Q. */ 'a-b': number };
    }`;
    assert.deepEqual(schemaOf(code), {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      title: 'Root',
      description: 'What it is.',
      type: 'object',
      properties: {
        some: { description: 'In one line: see `Root`.', type: 'string' },
        kind: { const: 'root' },
        more: {
          description: 'Perhaps.',
          type: 'object',
          properties: { 'a-b': { description: 'Q.', type: 'number' } },
          additionalProperties: false,
          required: ['a-b'],
        },
      },
      additionalProperties: false,
      required: ['some', 'kind'],
    });
  });

  it('takes the comments of the members of a union, and tells them apart by a literal', () => {
    const { oneOf } = schemaOf(`/** R. */ export type Root =
      /** The first. */
      | { kind: 1; /** A. */ a: number }
      /** The second. */
      | { kind: 2 };`);
    assert.deepEqual(
      oneOf!.map(({ description, properties }) => [description, properties!.kind]),
      [
        ['The first.', { const: 1 }],
        ['The second.', { const: 2 }],
      ],
    );
  });

  it('names a type once, in any depth and around a circle', () => {
    const { properties, $defs } =
      schemaOf(`/** Tree. */ interface Tree { /** Down. */ below: Tree[]; /** Up. */ top: Root }
      /** R. */ export interface Root { /** First. */ a: Tree; /** Second. */ b: readonly Tree[] | null }`);
    const ref = { $ref: '#/$defs/Tree' };
    assert.deepEqual(properties!.a, { description: 'First.', ...ref });
    assert.deepEqual(properties!.b!.oneOf, [{ type: 'array', items: ref }, { type: 'null' }]);
    assert.deepEqual(Object.keys($defs!), ['Tree']);
    assert.deepEqual($defs!.Tree!.properties, {
      below: { description: 'Down.', type: 'array', items: ref },
      top: { description: 'Up.', $ref: '#' },
    });
  });
});
