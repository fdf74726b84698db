import { IpgraftError } from '../errors.js';
import { printable } from '../printable.js';
import type { CheckpointDtype } from './checkpoint.js';
import { DTYPE_SIZE, elementCount } from './dtype-size.js';
import type { PickleNames } from './pickle.js';
import { describe, type PickledStorage, type PickledTensor, type PickleValue } from './pickle-value.js';

/** As many as torch itself allows. */
const MAX_RANK = 64;

/** Storage classes and what their elements are; `undefined` where the tensor says it. */
const STORAGES: ReadonlyMap<string, CheckpointDtype | undefined> = new Map<
  string,
  CheckpointDtype | undefined
>([
  ['torch.DoubleStorage', 'F64'],
  ['torch.FloatStorage', 'F32'],
  ['torch.HalfStorage', 'F16'],
  ['torch.BFloat16Storage', 'BF16'],
  ['torch.LongStorage', 'I64'],
  ['torch.IntStorage', 'I32'],
  ['torch.ShortStorage', 'I16'],
  ['torch.CharStorage', 'I8'],
  ['torch.ByteStorage', 'U8'],
  ['torch.BoolStorage', 'BOOL'],
  ['torch.storage.UntypedStorage', undefined],
]);

/** Number types, which stand in checkpoints as values too; `undefined` for those that are not read as tensors. */
const DTYPES: ReadonlyMap<string, CheckpointDtype | undefined> = new Map<string, CheckpointDtype | undefined>(
  [
    ['torch.float64', 'F64'],
    ['torch.float32', 'F32'],
    ['torch.float16', 'F16'],
    ['torch.bfloat16', 'BF16'],
    ['torch.int64', 'I64'],
    ['torch.int32', 'I32'],
    ['torch.int16', 'I16'],
    ['torch.int8', 'I8'],
    ['torch.uint8', 'U8'],
    ['torch.bool', 'BOOL'],
    ['torch.uint16', undefined],
    ['torch.uint32', undefined],
    ['torch.uint64', undefined],
    ['torch.float8_e4m3fn', undefined],
    ['torch.float8_e4m3fnuz', undefined],
    ['torch.float8_e5m2', undefined],
    ['torch.float8_e5m2fnuz', undefined],
    ['torch.complex64', undefined],
    ['torch.complex128', undefined],
  ],
);

const ORDERED_DICT = 'collections.OrderedDict';
const REBUILD_TENSOR = 'torch._utils._rebuild_tensor_v2';
const REBUILD_TENSOR_OF_DTYPE = 'torch._utils._rebuild_tensor_v3';
const REBUILD_PARAMETER = 'torch._utils._rebuild_parameter';

/** All that may be named. Everything else is refused before anything is done with it. */
const ALLOWED: ReadonlySet<string> = new Set([
  ORDERED_DICT,
  REBUILD_TENSOR,
  REBUILD_TENSOR_OF_DTYPE,
  REBUILD_PARAMETER,
  ...STORAGES.keys(),
  ...DTYPES.keys(),
]);

/**
 * The names of `torch.save`'s pickles, after `torch/_utils.py` and `torch/serialization.py`: dictionaries, tensors
 * and storages as data. No name leads to a function of this process.
 * @param file name for messages
 */
export function torchNames(file: string): PickleNames {
  const malformed = (what: string): never => {
    throw new IpgraftError('ADAPTER_PICKLE_MALFORMED', `${file}: ${what}`, { file });
  };
  const unsupported = (what: string): never => {
    throw new IpgraftError('ADAPTER_TENSOR_UNSUPPORTED', `${file}: a tensor ${what}`, { file });
  };

  function rebuildTensor(args: readonly PickleValue[], typed: boolean): PickledTensor {
    const [storage, offset, sizes, steps, , , ...rest] = args;
    if (args.length < 6) malformed('a tensor lacks arguments');
    if (!isKind(storage, 'storage')) return malformed(`sought a storage, found ${describe(storage)}`);
    const dtype = typed ? storage.dtype : readDtype(rest.shift());
    if (dtype === undefined) return malformed('a tensor has no number type');
    // Flags such as `neg` and `conj`: the values are then others than those stored.
    const metadata = rest[0] ?? null;
    if (rest.length > 1 || (metadata !== null && !(isKind(metadata, 'dict') && metadata.items.size === 0))) {
      unsupported('has metadata that changes its values');
    }
    const shape = readSizes(sizes, 'shape');
    const strides = readSizes(steps, 'strides');
    if (shape.length !== strides.length) malformed('a tensor has another number of strides than of sides');
    if (!isSize(offset)) return malformed('the offset of a tensor is not a non-negative integer');
    checkInside(storage, dtype, shape, strides, offset);
    return { kind: 'tensor', storage, dtype, shape, strides, offset };
  }

  function readDtype(value: PickleValue | undefined): CheckpointDtype {
    if (!isKind(value, 'global') || !DTYPES.has(value.name)) {
      return malformed(`sought a number type, found ${describe(value)}`);
    }
    return DTYPES.get(value.name) ?? unsupported(`has the number type ${value.name}`);
  }

  function readSizes(value: PickleValue | undefined, what: string): readonly number[] {
    if (!isKind(value, 'tuple')) return malformed(`the ${what} of a tensor is not a tuple`);
    if (value.items.length > MAX_RANK) unsupported(`has more than ${MAX_RANK} dimensions`);
    if (!value.items.every(isSize)) malformed(`the ${what} of a tensor are not non-negative integers`);
    return value.items as readonly number[];
  }

  /** Every index that the strides reach lies in the storage. */
  function checkInside(
    storage: PickledStorage,
    dtype: CheckpointDtype,
    shape: readonly number[],
    strides: readonly number[],
    offset: number,
  ): void {
    const count = elementCount(shape);
    if (count === 0) return;
    const last = shape.reduce((sum, side, axis) => sum + (side - 1) * strides[axis]!, offset);
    const capacity = Math.floor(storage.byteLength / DTYPE_SIZE[dtype]);
    if (count !== undefined && Number.isSafeInteger(last) && last < capacity) return;
    throw new IpgraftError(
      'ADAPTER_TENSOR_RANGE',
      `${file}: ${dtype} [${shape.join(', ')}] with strides [${strides.join(', ')}] at ${offset} reads element ${last} of a storage of ${capacity}`,
      { file, shape, strides, offset, elements: capacity },
    );
  }

  return {
    global(module, name) {
      const full = `${module}.${name}`;
      if (ALLOWED.has(full)) return { kind: 'global', name: full };
      // Python 3 writes module names of Python 2 in protocol 2: `__builtin__` is `builtins`.
      throw new IpgraftError('ADAPTER_PICKLE_FORBIDDEN', `${file}: the pickle names ${printable(full)}`, {
        file,
        found: printable(full),
      });
    },

    reduce(callee, args) {
      if (!isKind(callee, 'global')) return malformed(`${describe(callee)} is called`);
      switch (callee.name) {
        case ORDERED_DICT:
          if (args.length > 0) malformed('an OrderedDict is made with arguments');
          return { kind: 'dict', items: new Map() };
        case REBUILD_TENSOR:
          return rebuildTensor(args, true);
        case REBUILD_TENSOR_OF_DTYPE:
          return rebuildTensor(args, false);
        case REBUILD_PARAMETER:
          // A parameter is its tensor; whether it takes gradients is of no matter here.
          return isKind(args[0], 'tensor')
            ? args[0]
            : malformed(`sought a tensor, found ${describe(args[0])}`);
        default:
          return malformed(`${callee.name} is called`);
      }
    },

    persistent(id) {
      // ('storage', class, key, device, number of elements); bytes where the class is UntypedStorage.
      if (!isKind(id, 'tuple') || id.items.length !== 5 || id.items[0] !== 'storage') {
        return malformed(`sought a storage, found ${describe(id)}`);
      }
      const [, type, key, , length] = id.items;
      if (!isKind(type, 'global') || !STORAGES.has(type.name)) {
        return malformed(`sought a storage class, found ${describe(type)}`);
      }
      if (typeof key !== 'string') return malformed('the key of a storage is not a string');
      const dtype = STORAGES.get(type.name);
      const byteLength = isSize(length) ? length * (dtype === undefined ? 1 : DTYPE_SIZE[dtype]) : Number.NaN;
      if (!Number.isSafeInteger(byteLength))
        return malformed('the length of a storage is not a non-negative integer');
      return { kind: 'storage', key, byteLength, dtype };
    },
  };
}

type Kind = Extract<PickleValue, { readonly kind: string }>['kind'];

function isKind<K extends Kind>(
  value: PickleValue | undefined,
  kind: K,
): value is Extract<PickleValue, { readonly kind: K }> {
  return typeof value === 'object' && value !== null && value.kind === kind;
}

function isSize(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
