import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type onnxProto from 'onnx-proto';
import { DATA_TYPE, type DataType, dataTypeName } from '../../compiler/onnx/data-type.js';
import { onnx } from '../../compiler/onnx/proto.js';
import { freshFolder } from '../fixtures.js';

type Dimensions = readonly (number | string)[] | null;
type Value = readonly [name: string, type: DataType, shape: Dimensions];

const { ModelProto, TensorProto } = onnx;
const { INT, GRAPH } = onnx.AttributeProto.AttributeType;

/** `null` for a value of which not even the rank is said. */
export function value([name, type, shape]: Value): onnxProto.onnx.IValueInfoProto {
  const dim = shape?.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return {
    name,
    type: { tensorType: { elemType: DATA_TYPE[type], ...(dim !== undefined && { shape: { dim } }) } },
  };
}

/** Writes a model of opset 17 into a folder of its own. */
export function writeSmallModel(graph: onnxProto.onnx.IGraphProto): string {
  const path = join(freshFolder(), 'model.onnx');
  const model = { irVersion: 8, opsetImport: [{ domain: '', version: 17 }], graph: { name: 'g', ...graph } };
  writeFileSync(path, ModelProto.encode(ModelProto.create(model)).finish());
  return path;
}

/** A model that gives each of its inputs back: `x` as `x_out`. */
export function identityModel(...inputs: readonly Value[]): string {
  return writeSmallModel({
    node: inputs.map(([name]) => ({ opType: 'Identity', name, input: [name], output: [`${name}_out`] })),
    input: inputs.map(value),
    output: inputs.map(([name, type, shape]) => value([`${name}_out`, type, shape])),
  });
}

/** `x` + `n` · 1, in n rounds of a Loop: n says how long it runs, about a second for a million. */
export function countingModel(): string {
  const body: onnxProto.onnx.IGraphProto = {
    name: 'body',
    node: [
      { opType: 'Identity', input: ['go'], output: ['go_on'] },
      { opType: 'Add', input: ['x_in', 'one'], output: ['x_next'] },
    ],
    input: [value(['round', 'int64', []]), value(['go', 'bool', []]), value(['x_in', 'float', [1]])],
    output: [value(['go_on', 'bool', []]), value(['x_next', 'float', [1]])],
  };
  return writeSmallModel({
    node: [
      {
        opType: 'Loop',
        name: 'loop',
        input: ['n', 'always', 'x'],
        output: ['y'],
        attribute: [{ name: 'body', type: GRAPH, g: body }],
      },
    ],
    initializer: [
      TensorProto.create({
        name: 'always',
        dataType: DATA_TYPE.bool,
        dims: [],
        rawData: Uint8Array.of(1),
      }),
      TensorProto.create({ name: 'one', dataType: DATA_TYPE.float, dims: [1], floatData: [1] }),
    ],
    input: [value(['n', 'int64', []]), value(['x', 'float', [1]])],
    output: [value(['y', 'float', [1]])],
  });
}

/** A model that gives each of its inputs back, `x` as `x_out`, and has a default of each. */
export function defaultedModel(...defaults: readonly onnxProto.onnx.ITensorProto[]): string {
  const described = (name: string, { dataType, dims }: onnxProto.onnx.ITensorProto) =>
    value([name, dataTypeName(dataType!) as DataType, dims as number[]]);
  return writeSmallModel({
    node: defaults.map(({ name }) => ({
      opType: 'Identity',
      name: name!,
      input: [name!],
      output: [`${name}_out`],
    })),
    initializer: [...defaults],
    input: defaults.map((tensor) => described(tensor.name!, tensor)),
    output: defaults.map((tensor) => described(`${tensor.name}_out`, tensor)),
  });
}

/** `x` [1, n] times zeros [n, n], which lie in a file of their own beside it: 4 n² bytes, to be made with {@link placeWeights}. */
export function weightyModel(n: number): string {
  const entry = (key: string, value: string) => ({ key, value });
  const weight = TensorProto.create({
    name: 'w',
    dataType: DATA_TYPE.float,
    dims: [n, n],
    dataLocation: TensorProto.DataLocation.EXTERNAL,
    externalData: [entry('location', 'weights'), entry('offset', '0'), entry('length', `${4 * n * n}`)],
  });
  return writeSmallModel({
    node: [{ opType: 'MatMul', name: 'times', input: ['x', 'w'], output: ['y'] }],
    initializer: [weight],
    input: [value(['x', 'float', [1, n]])],
    output: [value(['y', 'float', [1, n]])],
  });
}

/** Puts the weights of a {@link weightyModel} into a folder, without taking room on the disk. */
export function placeWeights(folder: string, n: number): void {
  const path = join(folder, 'weights');
  writeFileSync(path, '');
  truncateSync(path, 4 * n * n);
}

/** `x` as the type `to`. */
export function castingModel(to: DataType): string {
  return writeSmallModel({
    node: [
      {
        opType: 'Cast',
        name: 'cast',
        input: ['x'],
        output: ['y'],
        attribute: [{ name: 'to', type: INT, i: DATA_TYPE[to] }],
      },
    ],
    input: [value(['x', 'float', ['n']])],
    output: [value(['y', to, ['n']])],
  });
}

/** Zeros in the shape that is asked for: `y` of `shape`, two sizes. */
export function fillingModel(): string {
  return writeSmallModel({
    node: [{ opType: 'ConstantOfShape', name: 'fill', input: ['shape'], output: ['y'] }],
    input: [value(['shape', 'int64', [2]])],
    output: [value(['y', 'float', ['h', 'w']])],
  });
}
