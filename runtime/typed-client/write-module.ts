import {
  IndentationText,
  type MethodDeclarationStructure,
  Node,
  type OptionalKind,
  Project,
  type PropertySignatureStructure,
  QuoteKind,
  Scope,
  type SourceFile,
  SyntaxKind,
} from 'ts-morph';
import { IpgraftError } from '../../compiler/errors.js';
import { counted } from '../counted.js';
import { VERSION } from '../version.js';
import type { ClientModel, ClientValue } from './client-model.js';
import { inComment, literal, propertyName } from './literal.js';
import { type ShapeTypes, type SizeParameter, shapeTypes } from './size-parameters.js';
import type { Dimension } from './template/tensor.js';
import { HTTP, SESSION, TENSOR } from './template-text.js';
import type { Transport } from './transport.js';

/** What of the template whoever uses a client may name. */
const PUBLIC = new Set([
  'Elements',
  'Tensor',
  'Input',
  'Same',
  'OneOr',
  'InferOptions',
  'ClientError',
  'HttpOptions',
]);

/** Names that the part made for a model has beside the template's. */
const MADE = ['InferenceSession', 'MODEL', 'OrtTensor', 'Pick', 'Promise', 'Wanted'];

/** Lines are wrapped where they would be longer. */
const WIDTH = 110;

/**
 * The module of a typed client: what is made for this model, and behind it the template.
 * @throws IpgraftError `OPTION_INVALID` for a name that the template needs
 */
export function writeModule(model: ClientModel, name: string, transports: readonly Transport[]): string {
  const project = new Project({
    useInMemoryFileSystem: true,
    skipLoadingLibFiles: true,
    manipulationSettings: { indentationText: IndentationText.TwoSpaces, quoteKind: QuoteKind.Single },
  });
  const texts = { tensor: TENSOR, session: SESSION, http: HTTP };
  const template = (['tensor', ...transports] as const).map((part) =>
    project.createSourceFile(`template/${part}.ts`, texts[part]),
  );
  const taken = new Set([...MADE, ...template.flatMap(identifiersOf)]);
  const own = ['', 'Inputs', 'Outputs', 'Error'].map((part) => name + part);
  const clash = own.find((each) => taken.has(each));
  if (clash !== undefined)
    throw new IpgraftError('OPTION_INVALID', `--name ${name}: the client has another ${clash}`, { name });
  const shapes = shapeTypes(model.inputs, model.outputs, new Set([...taken, ...own]));

  const file = project.createSourceFile('client.ts');
  if (transports.includes('session'))
    file.addImportDeclaration({
      isTypeOnly: true,
      namedImports: ['InferenceSession', { name: 'Tensor', alias: 'OrtTensor' }],
      moduleSpecifier: 'onnxruntime-node',
    });
  addValues(file, name, model, shapes);
  addClass(file, name, model, shapes, transports);
  const fixed = template.map((part) => withoutModule(part, `${name}Error`));
  return `${header(model)}${[file.getFullText().trim(), declarations(model), ...fixed].join('\n\n')}\n`;
}

/** Whatever a file names, but its type parameters: nothing outside can be taken for one. */
function identifiersOf(file: SourceFile): string[] {
  const names = (kind: SyntaxKind) => file.getDescendantsOfKind(kind).map((node) => node.getText());
  const parameters = file
    .getDescendantsOfKind(SyntaxKind.TypeParameter)
    .map((parameter) => parameter.getName());
  return names(SyntaxKind.Identifier).filter((name) => !parameters.includes(name));
}

function header({ file, opset, irVersion, inputs, outputs }: ClientModel): string {
  const facts = `opset ${opset}, IR version ${irVersion}, ${counted(inputs.length, 'input')}, ${counted(outputs.length, 'output')}`;
  return `// Made by ipgraft ${VERSION} from ${inComment(file)}: ${facts}.\n// \`ipgraft types\` makes it again: change the model, not this file.\n\n`;
}

function addValues(
  file: SourceFile,
  name: string,
  { inputs, outputs }: ClientModel,
  shapes: ShapeTypes,
): void {
  const sizes = shapes.parameters.map((parameter) => `\n@typeParam ${parameter.name} ${parameter.about}`);
  addInterface(
    file,
    `${name}Inputs`,
    `What the model takes.${sizes.join('')}`,
    shapes.parameters,
    inputs,
    (input) => {
      return `Input<'${input.type}', ${shapes.inputs.get(input.name)}>`;
    },
  );
  addInterface(file, `${name}Outputs`, 'What the model gives.', shapes.ofOutputs, outputs, (output) => {
    return `Tensor<'${output.type}', ${shapes.outputs.get(output.name)}>`;
  });
}

function addInterface(
  file: SourceFile,
  name: string,
  about: string,
  parameters: readonly SizeParameter[],
  values: readonly ClientValue[],
  typeOf: (value: ClientValue) => string,
): void {
  const added = file.addInterface({
    name,
    isExported: true,
    docs: [about],
    typeParameters: parameters.map((parameter) => ({
      name: parameter.name,
      constraint: 'number',
      default: parameter.default,
    })),
    properties: values.map(
      (value): OptionalKind<PropertySignatureStructure> => ({
        name: propertyName(value.name),
        isReadonly: true,
        hasQuestionToken: value.optional === true,
        docs: [
          [declared(value), ...value.about, ...(value.optional ? ['The model has a default.'] : [])].join(
            '\n',
          ),
        ],
        type: typeOf(value),
      }),
    ),
  });
  wrap(added.getTypeParameters(), '  ');
}

/** `float32[batch_size, 4, height, width]`, for a comment. */
function declared({ type, shape }: ClientValue): string {
  const sizes = shape?.map((size) =>
    size === null ? '?' : typeof size === 'object' ? `1 or ${size.oneOr}` : size,
  );
  return `\`${inComment(`${type}[${sizes?.join(', ') ?? '...'}]`)}\`.`;
}

function addClass(
  file: SourceFile,
  name: string,
  model: ClientModel,
  { parameters, ofOutputs }: ShapeTypes,
  transports: readonly Transport[],
): void {
  const overs: Readonly<Record<Transport, OptionalKind<MethodDeclarationStructure>>> = {
    session: {
      name: 'overSession',
      isStatic: true,
      docs: [
        `Runs the model in a session of onnxruntime-node.\n@param ort onnxruntime-node itself\n@throws ${name}Error \`MODEL\``,
      ],
      parameters: [
        { name: 'session', type: 'InferenceSession' },
        { name: 'ort', type: 'OnnxRuntime' },
      ],
      returnType: name,
      statements: [`return new ${name}(runInSession(MODEL, session, ort));`],
    },
    http: {
      name: 'overHttp',
      isStatic: true,
      docs: ['Runs the model on a server of the Open Inference Protocol with the binary tensor extension.'],
      parameters: [{ name: 'options', type: 'HttpOptions' }],
      returnType: name,
      statements: [`return new ${name}(runOverHttp(MODEL, options));`],
    },
  };
  const inputs = applied(`${name}Inputs`, parameters);
  const outputs = applied(`${name}Outputs`, ofOutputs);
  file.addClass({
    name,
    isExported: true,
    docs: [`The model of ${inComment(model.file)}.`],
    properties: [{ name: '#run', isReadonly: true, type: 'Run' }],
    ctors: [
      {
        scope: Scope.Private,
        parameters: [{ name: 'run', type: 'Run' }],
        statements: ['this.#run = run;'],
      },
    ],
    methods: [
      ...transports.map((transport) => overs[transport]),
      {
        name: 'infer',
        isAsync: true,
        docs: [`Runs the model once.\n@throws ${name}Error`],
        typeParameters: [
          ...parameters.map((parameter) => ({ name: parameter.name, constraint: 'number' })),
          { name: 'Wanted', constraint: `keyof ${name}Outputs`, default: `keyof ${name}Outputs` },
        ],
        parameters: [
          { name: 'inputs', type: inputs },
          { name: 'options', type: 'InferOptions<Wanted>', initializer: '{}' },
        ],
        returnType: `Promise<Pick<${outputs}, Wanted>>`,
        statements: [
          '// What came is held against the same declarations of which the types are made.',
          `return (await infer(MODEL, this.#run, inputs, options)) as Pick<${outputs}, Wanted>;`,
        ],
      },
    ],
  });
  // From the end to the beginning: what is wrapped is forgotten, and so is what encloses it.
  const infer = () => file.getClassOrThrow(name).getMethodOrThrow('infer');
  wrap(infer().getParameters(), '    ');
  wrap(infer().getTypeParameters(), '    ');
}

function applied(type: string, parameters: readonly SizeParameter[]): string {
  return parameters.length === 0 ? type : `${type}<${parameters.map(({ name }) => name).join(', ')}>`;
}

/** Puts each node of a list on a line of its own, where the line that they are on is too long. */
function wrap(nodes: readonly Node[], indent: string): void {
  const [first, last] = [nodes[0], nodes.at(-1)];
  if (first === undefined || last === undefined) return;
  const file = first.getSourceFile();
  const [start, end] = [first.getStart(), last.getEnd()];
  const text = file.getFullText();
  const line = text.slice(text.lastIndexOf('\n', start) + 1, text.indexOf('\n', end));
  if (line.length <= WIDTH) return;
  const lines = nodes.map((node) => `${indent}${node.getText()},\n`);
  file.replaceText([start, end], `\n${lines.join('')}${indent.slice(2)}`);
}

function declarations({ inputs, outputs }: ClientModel): string {
  const list = (key: string, values: readonly ClientValue[]) =>
    values.length === 0 ? [`  ${key}: [],`] : [`  ${key}: [`, ...values.map(declaration), '  ],'];
  return ['const MODEL: Declarations = {', ...list('inputs', inputs), ...list('outputs', outputs), '};'].join(
    '\n',
  );
}

function declaration({ name, type, shape, optional }: ClientValue): string {
  const size = (each: Dimension): string =>
    typeof each === 'string'
      ? literal(each)
      : typeof each === 'object' && each !== null
        ? `{ oneOr: ${literal(each.oneOr)} }`
        : String(each);
  const sizes = shape === null ? 'null' : `[${shape.map(size).join(', ')}]`;
  return `    { name: ${literal(name)}, type: '${type}', shape: ${sizes}${optional ? ', optional: true' : ''} },`;
}

/**
 * A file of the template without what it imports from the others, with no more exports than users need, and its error called `error`. By
 * places, not by ts-morph's own changes, each of which parses anew.
 */
function withoutModule(part: SourceFile, error: string): string {
  const text = part.getFullText();
  const begin = part.getImportDeclarations().at(-1)?.getEnd() ?? 0;
  const inner = part
    .getStatements()
    .filter(Node.isExportable)
    .filter((statement) => !PUBLIC.has(nameOf(statement)))
    .flatMap((statement) => statement.getExportKeyword() ?? [])
    .map((keyword) => ({ from: keyword.getStart(), to: keyword.getEnd() + 1, by: '' }));
  const renamed = part
    .getDescendantsOfKind(SyntaxKind.Identifier)
    .filter((identifier) => identifier.getText() === 'ClientError' && identifier.getStart() > begin)
    .map((identifier) => ({ from: identifier.getStart(), to: identifier.getEnd(), by: error }));
  const edits = [...inner, ...renamed].sort((a, b) => a.from - b.from);
  let at = begin;
  const parts = edits.map(({ from, to, by }) => {
    const kept = text.slice(at, from);
    at = to;
    return kept + by;
  });
  return [...parts, text.slice(at)].join('').trim();
}

function nameOf(statement: Node): string {
  return Node.isVariableStatement(statement)
    ? statement.getDeclarations()[0]!.getName()
    : Node.hasName(statement)
      ? statement.getName()
      : '';
}
