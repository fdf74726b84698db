import { type Field, fields, integer, text } from '../wire/fields.js';
import { Rope } from '../wire/rope.js';
import { integerRecord, record, splice, textRecord } from '../wire/splice.js';
import { DIMENSION, SHAPE, TENSOR_TYPE, TYPE, VALUE_INFO } from './schema.js';
import type { ValueName } from './value-name.js';

/** A dimension: a number, a symbol (`batch_size`), or `null` where nothing is said. */
export type Dimension = number | string | null;

/** A ValueInfoProto of a graph's input, output or inner value. */
export class ValueInfo {
  readonly record: Rope;
  /** Where the record starts in the base file; `null` for one that was inserted. */
  readonly place: number | null;

  constructor(record: Rope, place: number | null) {
    this.record = record;
    this.place = place;
  }

  get name(): ValueName {
    const field = fields(this.record).find((part) => part.number === VALUE_INFO.name);
    return field === undefined ? '' : text(this.record, field);
  }

  /** TensorProto.DataType of the elements; 0 where the value is not a tensor. */
  get dataType(): number {
    const tensor = this.tensorType();
    const field = tensor && fields(tensor).find((part) => part.number === TENSOR_TYPE.elementType);
    return field === undefined ? 0 : integer(tensor!, field);
  }

  /** `null` where even the rank is unknown. */
  get shape(): readonly Dimension[] | null {
    const tensor = this.tensorType();
    const field = tensor && fields(tensor).find((part) => part.number === TENSOR_TYPE.shape);
    if (field === undefined) return null;
    const shape = inside(tensor!, field);
    return fields(shape)
      .filter((part) => part.number === SHAPE.dimension)
      .map((part) => readDimension(inside(shape, part)));
  }

  /** The same value with one dimension changed; its denotation and every other record stay. */
  withDimension(axis: number, dimension: Dimension): ValueInfo {
    return this.withShapeRecord((shape) => {
      let index = -1;
      return splice(shape, (field) => {
        if (field.number !== SHAPE.dimension) return undefined;
        index += 1;
        return index === axis
          ? record(SHAPE.dimension, withValue(inside(shape, field), dimension))
          : undefined;
      });
    });
  }

  /** The same value in another shape, of any rank; it must have one. What was said of single dimensions but their size is gone. */
  withShape(shape: readonly Dimension[]): ValueInfo {
    const dimensions = shape.map((size) => record(SHAPE.dimension, withValue(Rope.EMPTY, size)));
    return this.withShapeRecord(() => Rope.join(dimensions));
  }

  private withShapeRecord(change: (shape: Rope) => Rope): ValueInfo {
    const descend = (message: Rope, path: readonly number[]): Rope => {
      const [number, ...rest] = path;
      return splice(message, (field) =>
        field.number !== number
          ? undefined
          : record(
              number,
              rest.length === 0 ? change(inside(message, field)) : descend(inside(message, field), rest),
            ),
      );
    };
    return new ValueInfo(descend(this.record, [VALUE_INFO.type, TYPE.tensor, TENSOR_TYPE.shape]), this.place);
  }

  private tensorType(): Rope | undefined {
    const type = fields(this.record).find((part) => part.number === VALUE_INFO.type);
    if (type === undefined) return undefined;
    const typeMessage = inside(this.record, type);
    const tensor = fields(typeMessage).find((part) => part.number === TYPE.tensor);
    return tensor && inside(typeMessage, tensor);
  }
}

function inside(message: Rope, field: Field): Rope {
  return message.slice(field.payload, field.end);
}

function readDimension(message: Rope): Dimension {
  for (const field of fields(message)) {
    if (field.number === DIMENSION.value) return integer(message, field);
    if (field.number === DIMENSION.parameter) return text(message, field);
  }
  return null;
}

function withValue(message: Rope, dimension: Dimension): Rope {
  const isValue = ({ number }: Field) => number === DIMENSION.value || number === DIMENSION.parameter;
  const value =
    dimension === null
      ? Rope.EMPTY
      : typeof dimension === 'number'
        ? integerRecord(DIMENSION.value, dimension)
        : textRecord(DIMENSION.parameter, dimension);
  if (!fields(message).some(isValue)) return Rope.join([value, message]);
  return splice(message, (field) => (isValue(field) ? value : undefined));
}
