/** The arrays that hold the elements of each type, in row-major order. float16 and bfloat16 are held as their bits. */
export interface Elements {
  float32: Float32Array;
  float64: Float64Array;
  float16: Uint16Array;
  bfloat16: Uint16Array;
  int8: Int8Array;
  int16: Int16Array;
  int32: Int32Array;
  int64: BigInt64Array;
  uint8: Uint8Array;
  uint16: Uint16Array;
  uint32: Uint32Array;
  uint64: BigUint64Array;
  /** 0 and 1. */
  bool: Uint8Array;
  string: readonly string[];
}

/** Elements with their shape: what a model gives, and what the next one takes. */
export interface Tensor<Type extends keyof Elements, Shape extends readonly number[]> {
  readonly type: Type;
  readonly shape: Shape;
  readonly data: Elements[Type];
}

/** What a model takes: a {@link Tensor} that need not say its type. */
export interface Input<Type extends keyof Elements, Shape extends readonly number[]> {
  readonly type?: Type;
  readonly shape: Shape;
  readonly data: Elements[Type];
}

/** A size that must be another one: `Size` where it is, or where one of them is known as no more than `number`; else the other. */
export type Same<Size extends number, Other extends number> = number extends Size | Other
  ? Size
  : [Extract<Size, Other>] extends [never]
    ? Told<Other>
    : Size;

/** A size that is told elsewhere, not here: NoInfer for compilers before 5.4. */
type Told<Size extends number> = [Size][Size extends unknown ? 0 : never];

/** A size that must be 1 or another one. */
export type OneOr<Size extends number, Other extends number> = Size extends 1 ? Size : Same<Size, Other>;

/** Which outputs to compute, and until when. */
export interface InferOptions<Output extends string> {
  /** Default: all. */
  readonly outputs?: readonly Output[];
  /** Rejects with its reason. A request is given up; a session's run, once begun, goes on and its result is dropped. */
  readonly signal?: AbortSignal;
}

/** Why there is no result. */
export class ClientError extends Error {
  /**
   * `INPUT`: a tensor that the model does not take; nothing was asked. `OUTPUT`: an answer that is not as the model says. `MODEL`: a session of
   * another model. `REFUSED`: the server answered with an error, its words are the message. `UNREACHABLE`: no answer. `TIMEOUT`: none in time.
   */
  readonly code: 'INPUT' | 'OUTPUT' | 'MODEL' | 'REFUSED' | 'UNREACHABLE' | 'TIMEOUT';
  /** Of the server's answer; `null` where there is none. */
  readonly status: number | null;

  constructor(
    code: ClientError['code'],
    message: string,
    more: { readonly status?: number; readonly cause?: unknown } = {},
  ) {
    super(message, 'cause' in more ? { cause: more.cause } : {});
    this.name = new.target.name;
    this.code = code;
    this.status = more.status ?? null;
  }
}

/** A number, the model's name of a free size, `null` where anything goes, or a size that is 1 or the named one. */
export type Dimension = number | string | null | { readonly oneOr: string };

/** An input or an output as the model declares it; a shape of `null` may have any rank. */
export interface Declared {
  readonly name: string;
  readonly type: keyof Elements;
  readonly shape: readonly Dimension[] | null;
  readonly optional?: true;
}

/** A model's inputs and outputs. */
export interface Declarations {
  readonly inputs: readonly Declared[];
  readonly outputs: readonly Declared[];
}

/** A tensor of any type and shape. */
export interface AnyTensor {
  readonly type: keyof Elements;
  readonly shape: readonly number[];
  readonly data: Elements[keyof Elements];
}

/** Runs a model on tensors that fit it, and answers with the outputs that were asked for. */
export type Run = (
  inputs: ReadonlyMap<string, AnyTensor>,
  outputs: readonly string[],
  signal: AbortSignal | undefined,
) => Promise<ReadonlyMap<string, AnyTensor>>;

/** Checks the inputs, runs the model, and checks what it gave. */
export async function infer(
  model: Declarations,
  run: Run,
  inputs: object,
  { outputs, signal }: InferOptions<string>,
): Promise<object> {
  signal?.throwIfAborted();
  const sizes = new Map<string, number>();
  const given = fitInputs(model.inputs, inputs, sizes);
  const wanted = (outputs ?? model.outputs.map(({ name }) => name)).map((name) => {
    const declared = model.outputs.find((output) => output.name === name);
    if (declared === undefined)
      throw new ClientError('INPUT', `output ${JSON.stringify(name)}: the model has none of this name`);
    return declared;
  });
  if (wanted.length === 0) return {};
  const names = [...new Set(wanted.map(({ name }) => name))];
  const found = await run(given, names, signal);
  signal?.throwIfAborted();
  return Object.fromEntries(
    wanted.map((declared) => {
      const tensor = found.get(declared.name);
      if (tensor === undefined) throw unfit('OUTPUT', declared, 'nothing');
      return [declared.name, checked('OUTPUT', declared, tensor, sizes)];
    }),
  );
}

function fitInputs(
  declared: readonly Declared[],
  inputs: object,
  sizes: Map<string, number>,
): Map<string, AnyTensor> {
  const stranger = Object.keys(inputs).find((key) => declared.every(({ name }) => name !== key));
  if (stranger !== undefined)
    throw new ClientError('INPUT', `input ${JSON.stringify(stranger)}: the model has none of this name`);
  const given = new Map<string, AnyTensor>();
  const byName = new Map<string, Partial<AnyTensor> | null | undefined>(Object.entries(inputs));
  // Sizes that may also be 1 come last: by then the sizes that they may be are known.
  const isLast = ({ shape }: Declared) => shape?.some((size) => typeof size === 'object' && size !== null);
  for (const input of [...declared.filter((each) => !isLast(each)), ...declared.filter(isLast)]) {
    const tensor = byName.get(input.name);
    if (tensor === undefined && input.optional) continue;
    if (typeof tensor !== 'object' || tensor === null) throw unfit('INPUT', input, 'nothing');
    given.set(input.name, checked('INPUT', input, tensor, sizes));
  }
  return given;
}

/** Holds a tensor against what the model declares; `sizes` are the free sizes so far, and get those of this one. */
function checked(
  code: 'INPUT' | 'OUTPUT',
  declared: Declared,
  { type = declared.type, shape, data }: Partial<AnyTensor>,
  sizes: Map<string, number>,
): AnyTensor {
  const found = `${String(type)}[${Array.isArray(shape) ? shape.join(', ') : '?'}]`;
  if (type !== declared.type) throw unfit(code, declared, found);
  // By name, not instanceof: an array may come from another realm.
  const sought = type === 'string' ? 'Array' : ARRAYS[type].name;
  const kind = ArrayBuffer.isView(data)
    ? data[Symbol.toStringTag]
    : Array.isArray(data)
      ? 'Array'
      : typeof data;
  if (data === undefined || kind !== sought)
    throw unfit(code, declared, `data in ${kind} where ${sought} holds them`);
  const fits =
    Array.isArray(shape) &&
    shape.every((size) => Number.isSafeInteger(size) && size >= 0) &&
    (declared.shape === null ||
      (shape.length === declared.shape.length &&
        declared.shape.every((size, axis) => fitsSize(size, shape[axis], sizes))));
  if (!fits) {
    const free = [...sizes].map(([name, size]) => `${name} = ${size}`);
    throw unfit(code, declared, free.length === 0 ? found : `${found} with ${free.join(', ')}`);
  }
  const count = shape.reduce((product, size) => product * size, 1);
  if (data.length !== count)
    throw unfit(code, declared, `${data.length} elements for ${found}, which has ${count}`);
  return { type, shape, data };
}

function fitsSize(declared: Dimension, size: number, sizes: Map<string, number>): boolean {
  if (declared === null) return true;
  if (typeof declared === 'number') return size === declared;
  if (typeof declared === 'object') return size === 1 || size === (sizes.get(declared.oneOr) ?? size);
  const known = sizes.get(declared);
  if (known === undefined) sizes.set(declared, size);
  return known === undefined || known === size;
}

function unfit(code: 'INPUT' | 'OUTPUT', { name, type, shape }: Declared, found: string): ClientError {
  const dimensions = shape?.map((size) =>
    size === null ? '?' : typeof size === 'object' ? `1 or ${size.oneOr}` : size,
  );
  const sought = `${type}[${dimensions?.join(', ') ?? '…'}]`;
  return new ClientError(
    code,
    `${code.toLowerCase()} ${JSON.stringify(name)}: sought ${sought}, found ${found}`,
  );
}

/** How the elements of each type are held. */
export const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const;
