import type { ServedInput } from '../../backend.js';
import { exampleRequest, exampleSize } from '../../protocol/example-request.js';
import type { LoadedModel } from '../../repository/loaded-model.js';
import type { IndexEntry } from '../../repository/model-repository.js';
import type { TensorMetadata } from '../../tensor.js';
import { schemaAt } from './schemas.js';

/** An input or output as the page shows it. */
export interface DescribedTensor {
  readonly name: string;
  readonly datatype: TensorMetadata['datatype'];
  /** A number, or the name of a free dimension; `null` for one without. */
  readonly shape: readonly (number | string | null)[];
  /** Of inputs: whether a request may leave it out. */
  readonly optional?: boolean;
  /** Whether it may have any shape; `shape` is empty then. */
  readonly anyShape?: boolean;
}

/** A model of the folder; with inputs and outputs where it is loaded. Field `x-ipgraft-models` of the document. */
export interface DescribedModel extends IndexEntry {
  readonly inputs?: readonly DescribedTensor[];
  readonly outputs?: readonly DescribedTensor[];
}

/** The models of the folder with what they take and give. */
export function describeModels(
  index: readonly IndexEntry[],
  loaded: readonly LoadedModel[],
): DescribedModel[] {
  return index.map((entry) => {
    const model = loaded.find(({ name }) => name === entry.name)?.model;
    if (model === undefined) return entry;
    return {
      ...entry,
      inputs: model.inputs.map((input) => ({
        ...described(input),
        optional: input.optional,
        ...(input.anyShape && { anyShape: true }),
      })),
      outputs: model.outputs.map(described),
    };
  });
}

function described({ name, datatype, shape, symbols }: TensorMetadata): DescribedTensor {
  return {
    name,
    datatype,
    shape: shape.map((size, axis) => (size < 0 ? (symbols?.[axis] ?? null) : size)),
  };
}

/** The name of a schema: of models it has a dot. */
export function inferSchemaName(model: string): string {
  return `${model}.InferRequest`;
}

/** An infer request that names inputs and outputs of this model, in their datatypes and shapes. */
export function inferSchema({ name, model }: LoadedModel): object {
  const names = model.outputs.map((output) => output.name);
  return {
    title: `A request to ${name}`,
    allOf: [schemaAt('InferRequest')],
    properties: {
      inputs: { items: { oneOf: model.inputs.map(tensorSchema) } },
      outputs: { items: { properties: { name: { enum: names } } } },
    },
  };
}

function tensorSchema({ name, datatype, shape, symbols, anyShape }: ServedInput): object {
  if (anyShape)
    return {
      title: `${name}: ${datatype} of any shape`,
      properties: { name: { const: name }, datatype: { const: datatype } },
    };
  const isScalar = shape.length === 0;
  return {
    title: `${name}: ${datatype} [${shape.map((size, axis) => (size < 0 ? (symbols?.[axis] ?? '?') : size)).join(', ')}]`,
    properties: {
      name: { const: name },
      datatype: { const: datatype },
      // One without dimensions may also come as [1].
      shape: {
        prefixItems: isScalar
          ? [{ const: 1 }]
          : shape.map((size, axis) => {
              const title = symbols?.[axis];
              return size < 0 ? { minimum: 0, ...(title && { title }) } : { const: size };
            }),
        minItems: shape.length,
        maxItems: isScalar ? 1 : shape.length,
      },
    },
  };
}

/** A request that the model answers, as an example of JSON, or of the JSON before bytes. */
export function inferExample({ name, model }: LoadedModel): {
  readonly isJson: boolean;
  readonly example: object;
} {
  const inputs = model.inputs
    .filter(({ optional }) => !optional)
    .map(({ name, datatype, shape, symbols }) => ({
      name,
      datatype,
      shape: shape.map((size, axis) => (size < 0 ? exampleSize(symbols?.[axis] ?? null) : size)),
    }));
  const { json, tail } = exampleRequest(inputs, model.outputs);
  if (tail === 0) return { isJson: true, example: { summary: name, value: json } };
  const text = JSON.stringify(json);
  return {
    isJson: false,
    example: {
      summary: name,
      description: `Inference-Header-Content-Length: ${Buffer.byteLength(text)}; ${tail} bytes follow this JSON.`,
      value: text,
    },
  };
}
