import {
  type InterfaceDeclaration,
  Node,
  type PropertySignature,
  SyntaxKind,
  type TypeAliasDeclaration,
  type TypeElementTypes,
  type TypeNode,
  type TypeReferenceNode,
  type UnionTypeNode,
} from 'ts-morph';

/** A JSON Schema of draft 2020-12, as far as {@link typeSchema} makes it. */
export interface Schema {
  readonly $schema?: string;
  readonly title?: string;
  readonly description?: string;
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: string | number | boolean;
  readonly enum?: readonly (string | number | boolean | null)[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly propertyNames?: Schema;
  readonly additionalProperties?: false | Schema;
  readonly required?: readonly string[];
  readonly oneOf?: readonly Schema[];
  readonly $defs?: Readonly<Record<string, Schema>>;
}

type Named = InterfaceDeclaration | TypeAliasDeclaration;

/** What JSON has no other form for than a keyword of `type`. */
const SCALARS = new Map([
  [SyntaxKind.StringKeyword, 'string'],
  [SyntaxKind.NumberKeyword, 'number'],
  [SyntaxKind.BooleanKeyword, 'boolean'],
]);

/**
 * The JSON Schema of what `JSON.stringify` makes of a value of this type. Descriptions are the doc comments, which every field must have
 * unless its type has one or is a single literal; named types become `$defs`; fields that are not declared are refused; of a union JSON must
 * tell which member it is, by JSON's own types or by a literal field.
 * @throws Error for a type that it does not know, a field without doc comment, a union whose members JSON cannot tell apart
 */
export function typeSchema(declaration: Named): Schema {
  const definitions = new Definitions(declaration);
  const body = definitions.body(declaration);
  const defs = [...definitions.made].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: declaration.getName(),
    ...body,
    ...(defs.length > 0 && { $defs: Object.fromEntries(defs) }),
  };
}

/** What a `$ref` of {@link typeSchema} leads to; any other schema is what it is. */
export function resolved(schema: Schema, root: Schema): Schema {
  if (schema.$ref === undefined) return schema;
  return schema.$ref === '#' ? root : root.$defs![schema.$ref.slice('#/$defs/'.length)]!;
}

class Definitions {
  readonly made = new Map<string, Schema>();
  private readonly root: Named;
  private readonly declared = new Map<string, Named>();

  constructor(root: Named) {
    this.root = root;
  }

  body(declaration: Named): Schema {
    const name = declaration.getName();
    if (declaration.getTypeParameters().length > 0) throw unknown(declaration, `${name} has type parameters`);
    const description = commentOf(declaration);
    if (description === undefined) throw unknown(declaration, `${name} has no doc comment`);
    if (Node.isTypeAliasDeclaration(declaration))
      return { description, ...this.of(declaration.getTypeNodeOrThrow()) };
    if (declaration.getExtends().length > 0) throw unknown(declaration, `${name} extends another type`);
    return { description, ...this.object(declaration.getMembers()) };
  }

  of(node: TypeNode): Schema {
    const scalar = SCALARS.get(node.getKind());
    if (scalar !== undefined) return { type: scalar };
    if (Node.isParenthesizedTypeNode(node)) return this.of(node.getTypeNode());
    if (Node.isArrayTypeNode(node)) return { type: 'array', items: this.of(node.getElementTypeNode()) };
    if (Node.isTypeLiteral(node)) return this.object(node.getMembers());
    if (Node.isUnionTypeNode(node)) return this.union(node);
    if (Node.isTypeReference(node)) return this.reference(node);
    if (Node.isLiteralTypeNode(node))
      return node.getLiteral().getKind() === SyntaxKind.NullKeyword
        ? { type: 'null' }
        : { const: literalOf(node) };
    if (Node.isTypeOperatorTypeNode(node) && node.getOperator() === SyntaxKind.ReadonlyKeyword)
      return this.of(node.getTypeNode());
    return literals(node);
  }

  private reference(node: TypeReferenceNode): Schema {
    const name = node.getTypeName().getText();
    const [first, second] = node.getTypeArguments();
    const symbol = node.getTypeName().getSymbolOrThrow();
    const declaration = (symbol.getAliasedSymbol() ?? symbol).getDeclarations()[0]!;
    if (declaration.getSourceFile().isInNodeModules() || declaration.getSourceFile().isDeclarationFile()) {
      if (name === 'Readonly') return this.of(first!);
      if (name === 'Record') return this.record(first!, second!);
      if (name === 'Partial') {
        const { required: _, ...optional } = this.of(first!);
        if (optional.propertyNames !== undefined) return optional;
      }
      throw unknown(node, `${name} has no JSON Schema`);
    }
    if (first !== undefined) throw unknown(node, `${name} has type arguments`);
    if (!Node.isInterfaceDeclaration(declaration) && !Node.isTypeAliasDeclaration(declaration))
      throw unknown(node, `${name} is neither an interface nor a type alias`);
    return this.named(declaration);
  }

  private named(declaration: Named): Schema {
    const name = declaration.getName();
    if (declaration === this.root) return { $ref: '#' };
    const known = this.declared.get(name);
    if (known !== undefined && known !== declaration)
      throw unknown(declaration, `two types have the name ${name}`);
    this.declared.set(name, declaration);
    if (known === undefined) this.made.set(name, this.body(declaration));
    return { $ref: `#/$defs/${name}` };
  }

  private record(keys: TypeNode, values: TypeNode): Schema {
    const propertyNames = this.of(keys);
    const additionalProperties = this.of(values);
    const key = this.target(propertyNames, keys);
    if (key.type === 'string') return { type: 'object', additionalProperties };
    const required = valuesOf(key);
    if (!required?.every((name) => typeof name === 'string')) throw unknown(keys, 'keys that are no strings');
    return { type: 'object', propertyNames, additionalProperties, required };
  }

  private object(members: readonly TypeElementTypes[]): Schema {
    const properties = members.map((member): [string, Schema] => {
      if (!Node.isPropertySignature(member))
        throw unknown(member, `${member.getText()} is no field of its own`);
      return [nameOf(member), this.field(member)];
    });
    const required = members.flatMap((member) =>
      Node.isPropertySignature(member) && !member.hasQuestionToken() ? [nameOf(member)] : [],
    );
    return {
      type: 'object',
      properties: Object.fromEntries(properties),
      additionalProperties: false,
      required,
    };
  }

  private field(member: PropertySignature): Schema {
    const node = member.getTypeNode();
    if (node === undefined) throw unknown(member, `${member.getName()} has no declared type`);
    const schema = this.of(node);
    const description = commentOf(member);
    if (description === undefined && schema.const === undefined && schema.$ref === undefined)
      throw unknown(member, `${member.getName()} has no doc comment`);
    return { ...(description !== undefined && { description }), ...schema };
  }

  private union(node: UnionTypeNode): Schema {
    const members = node.getTypeNodes().map((member): Schema => {
      const description = Node.isTypeLiteral(member) ? commentBefore(member) : undefined;
      return { ...(description !== undefined && { description }), ...this.of(member) };
    });
    const other = members.filter(({ type }) => type !== 'null');
    const listed = other.map((member) => valuesOf(this.target(member, node)));
    if (listed.length > 1 && listed.every((values) => values !== undefined))
      return { enum: [...listed.flat(), ...(other.length < members.length ? [null] : [])] };
    const isPlain = ({ type, ...rest }: Schema) =>
      typeof type === 'string' && !['object', 'array'].includes(type) && Object.keys(rest).length === 0;
    const plain = members.filter(isPlain).map(({ type }) => type as string);
    const others = members.filter((member) => !isPlain(member));
    if (others.length === 0) return { type: plain };
    const oneOf = [
      ...others,
      ...(plain.length > 0 ? [{ type: plain.length === 1 ? plain[0]! : plain }] : []),
    ];
    this.refuseAlike(oneOf, node);
    return { oneOf };
  }

  /** Of every two members of a union JSON's type must be another, or a field that is one literal here and another there. */
  private refuseAlike(oneOf: readonly Schema[], node: Node): void {
    const members = oneOf.flatMap((schema) => this.alternatives(schema, node));
    members.forEach((one, i) => {
      for (const other of members.slice(0, i)) {
        const ofOther = typesOf(other);
        if (!typesOf(one).some((type) => ofOther.includes(type))) continue;
        if (discriminator([one, other]) === undefined)
          throw unknown(node, `JSON cannot tell apart the members of ${node.getText()}`);
      }
    });
  }

  private alternatives(schema: Schema, node: Node): Schema[] {
    const target = this.target(schema, node);
    return target.oneOf === undefined
      ? [target]
      : target.oneOf.flatMap((each) => this.alternatives(each, node));
  }

  private target({ $ref, ...schema }: Schema, node: Node): Schema {
    if ($ref === undefined) return schema;
    const found = this.made.get($ref.slice('#/$defs/'.length));
    if (found === undefined) throw unknown(node, `${$ref} is used in its own definition`);
    return found;
  }
}

/** The field by which schemas of objects are told apart: one literal in each of them, and in each another. */
export function discriminator(schemas: readonly Schema[]): string | undefined {
  return Object.keys(schemas[0]?.properties ?? {}).find((name) => {
    const values = schemas.map(({ properties, required }) =>
      required?.includes(name) ? properties?.[name]?.const : undefined,
    );
    return values.every((value) => value !== undefined) && new Set(values).size === schemas.length;
  });
}

/** The only values that a schema allows, where it lists them. */
function valuesOf({ const: only, enum: values }: Schema): Schema['enum'] {
  return values ?? (only === undefined ? undefined : [only]);
}

/** JSON's types of what a schema allows. */
function typesOf(schema: Schema): string[] {
  const { type } = schema;
  if (type !== undefined) return [type].flat();
  return (valuesOf(schema) ?? []).map((each) => (each === null ? 'null' : typeof each));
}

/** What only the checker can tell (`Edit['kind']`, `keyof typeof CATALOGUE`): literals, sorted, because it knows no order. */
function literals(node: TypeNode): Schema {
  const type = node.getType();
  const values = (type.isUnion() ? type.getUnionTypes() : [type]).map((each) => each.getLiteralValue());
  if (!values.every((value) => typeof value === 'string'))
    throw unknown(node, `${node.getText()} has no JSON Schema`);
  return { enum: values.sort() };
}

function literalOf(node: TypeNode): string | number | boolean {
  const type = node.getType();
  if (type.isBooleanLiteral()) return type.getText() === 'true';
  const value = type.getLiteralValue();
  if (typeof value !== 'string' && typeof value !== 'number')
    throw unknown(node, `${node.getText()} has no JSON Schema`);
  return value;
}

/** A name in quotes without them. */
function nameOf(member: PropertySignature): string {
  const node = member.getNameNode();
  return Node.isStringLiteral(node) ? node.getLiteralValue() : member.getName();
}

function commentOf(node: Named | PropertySignature): string | undefined {
  const text = plain(node.getJsDocs().at(-1)?.getDescription() ?? '');
  return text === '' ? undefined : text;
}

/** The doc comment in front of a member of a union, which stands before its bar. */
function commentBefore(member: TypeNode): string | undefined {
  const before = [member.getPreviousSibling(), member].flatMap(
    (each) => each?.getLeadingCommentRanges() ?? [],
  );
  const text = before.at(-1)?.getText();
  return text === undefined
    ? undefined
    : plain(text.replace(/^\/\*\*|\*\/$/g, '').replaceAll(/^\s*\*/gm, ''));
}

/** A comment in one line; a link is the name that it leads to. */
function plain(comment: string): string {
  return comment
    .replaceAll(/\{@link (\S+?)\}/g, '`$1`')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

function unknown(node: Node, what: string): Error {
  return new Error(`${node.getSourceFile().getBaseName()}:${node.getStartLineNumber()}: ${what}`);
}
