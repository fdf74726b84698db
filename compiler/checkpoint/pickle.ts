import { IpgraftError } from '../errors.js';
import { describe, type PickleDict, type PickleList, type PickleValue } from './pickle-value.js';

/**
 * What names mean to a pickle. The reader itself knows no name and calls nothing else.
 * Each method throws {@link IpgraftError} for what it does not know.
 */
export interface PickleNames {
  /** A global that the pickle names, before anything is done with it. */
  global(module: string, name: string): PickleValue;
  /** What Python would get by calling `callee` with `args`. */
  reduce(callee: PickleValue, args: readonly PickleValue[]): PickleValue;
  /** What stands behind a persistent id (torch: a storage). */
  persistent(id: PickleValue): PickleValue;
}

/**
 * One operation makes at most one container, so this bounds memory: some 200 MB at worst. `torch.save` takes
 * about 25 per tensor, so there is room for 40,000 tensors.
 */
const MAX_OPERATIONS = 1_000_000;

/** `module` and `name` of a global are one line each. */
const MAX_LINE_LENGTH = 256;

/**
 * Opcodes that make objects of classes, call extension codes or refer to other files. `torch.save` writes none
 * of them for dictionaries of tensors, so they get a refusal of their own.
 */
const OBJECT_OPCODES: ReadonlyMap<number, string> = new Map([
  [0x69, 'INST'],
  [0x6f, 'OBJ'],
  [0x81, 'NEWOBJ'],
  [0x92, 'NEWOBJ_EX'],
  [0x82, 'EXT1'],
  [0x83, 'EXT2'],
  [0x84, 'EXT4'],
  [0x50, 'PERSID'],
  [0x97, 'NEXT_BUFFER'],
]);

/**
 * Reads a pickle that `torch.save` wrote: the opcodes that its pickler emits in protocols 2 to 4 (names and
 * numbers as in CPython's `Lib/pickletools.py`), and no others. Ends at STOP, which must be the last byte.
 *
 * The reader never calls anything from the file: GLOBAL, REDUCE and BINPERSID hand plain values to `names`.
 * BUILD may only follow a dictionary and its state is dropped (torch puts `_metadata` there).
 * @param bytes the whole pickle
 * @param file name for messages
 * @throws IpgraftError `ADAPTER_PICKLE_MALFORMED`, `ADAPTER_PICKLE_FORBIDDEN`, and what `names` throws
 */
export function readPickle(bytes: Uint8Array, names: PickleNames, file: string): PickleValue {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const stack: PickleValue[] = [];
  /** Heights of the stack at each MARK; what lies below the last one is out of reach. */
  const marks: number[] = [];
  const memo = new Map<number, PickleValue>();
  let position = 0;
  let start = 0;

  const malformed = (what: string): never => {
    throw new IpgraftError('ADAPTER_PICKLE_MALFORMED', `${file}: ${what}, at byte ${start} of data.pkl`, {
      file,
      position: start,
    });
  };
  const take = (length: number): number => {
    const at = position;
    if (length > bytes.length - at) malformed('the pickle is cut off');
    position += length;
    return at;
  };
  const string = (length: number): string => {
    const at = take(length);
    try {
      return text.decode(bytes.subarray(at, at + length));
    } catch {
      return malformed('a string is not UTF-8');
    }
  };
  const line = (): string => {
    const end = bytes.subarray(position, position + MAX_LINE_LENGTH).indexOf(0x0a);
    if (end < 0) malformed('a name has no end');
    const value = string(end);
    position++;
    return value;
  };
  const top = (): PickleValue => {
    if (stack.length <= (marks.at(-1) ?? 0)) malformed('an operation finds nothing on the stack');
    return stack.at(-1) as PickleValue;
  };
  const pop = (): PickleValue => {
    const value = top();
    stack.pop();
    return value;
  };
  const popToMark = (): PickleValue[] => {
    const mark = marks.pop() ?? malformed('an operation finds no mark');
    return stack.splice(mark);
  };
  const pushTuple = (count: number): void => {
    const items: PickleValue[] = [];
    for (let i = 0; i < count; i++) items.push(pop());
    stack.push({ kind: 'tuple', items: items.reverse() });
  };
  const topList = (): PickleList => {
    const value = top();
    if (typeof value !== 'object' || value?.kind !== 'list')
      return malformed(`sought a list, found ${describe(value)}`);
    return value;
  };
  const topDict = (): PickleDict => {
    const value = top();
    if (typeof value !== 'object' || value?.kind !== 'dict')
      return malformed(`sought a dictionary, found ${describe(value)}`);
    return value;
  };
  const remember = (index: number): void => void memo.set(index, top());
  const recall = (index: number): void => {
    const value = memo.get(index);
    if (value === undefined) malformed(`memo ${index} is empty`);
    stack.push(value as PickleValue);
  };

  /** One operation; true after STOP. */
  const step = (opcode: number): boolean => {
    switch (opcode) {
      case 0x80: {
        // PROTO
        const protocol = view.getUint8(take(1));
        if (start !== 0) malformed('PROTO stands within the pickle');
        if (protocol < 2 || protocol > 5) malformed(`pickle protocol ${protocol} is not read`);
        break;
      }
      case 0x95: // FRAME: only a hint for buffered readers
        take(8);
        break;
      case 0x28: // MARK
        marks.push(stack.length);
        break;

      case 0x71: // BINPUT
        remember(view.getUint8(take(1)));
        break;
      case 0x72: // LONG_BINPUT
        remember(view.getUint32(take(4), true));
        break;
      case 0x94: // MEMOIZE
        remember(memo.size);
        break;
      case 0x68: // BINGET
        recall(view.getUint8(take(1)));
        break;
      case 0x6a: // LONG_BINGET
        recall(view.getUint32(take(4), true));
        break;

      case 0x4e: // NONE
        stack.push(null);
        break;
      case 0x88: // NEWTRUE
        stack.push(true);
        break;
      case 0x89: // NEWFALSE
        stack.push(false);
        break;
      case 0x4a: // BININT
        stack.push(view.getInt32(take(4), true));
        break;
      case 0x4b: // BININT1
        stack.push(view.getUint8(take(1)));
        break;
      case 0x4d: // BININT2
        stack.push(view.getUint16(take(2), true));
        break;
      case 0x8a: {
        // LONG1
        const length = view.getUint8(take(1));
        const at = take(length);
        stack.push(readLong(bytes.subarray(at, at + length)));
        break;
      }
      case 0x47: // BINFLOAT
        stack.push(view.getFloat64(take(8), false));
        break;
      case 0x58: // BINUNICODE
        stack.push(string(view.getUint32(take(4), true)));
        break;
      case 0x8c: // SHORT_BINUNICODE
        stack.push(string(view.getUint8(take(1))));
        break;

      case 0x29: // EMPTY_TUPLE
        pushTuple(0);
        break;
      case 0x85: // TUPLE1
        pushTuple(1);
        break;
      case 0x86: // TUPLE2
        pushTuple(2);
        break;
      case 0x87: // TUPLE3
        pushTuple(3);
        break;
      case 0x74: // TUPLE
        stack.push({ kind: 'tuple', items: popToMark() });
        break;
      case 0x5d: // EMPTY_LIST
        stack.push({ kind: 'list', items: [] });
        break;
      case 0x61: {
        // APPEND
        const item = pop();
        topList().items.push(item);
        break;
      }
      case 0x65: {
        // APPENDS. One by one: `push(...items)` ends the stack when there are a million.
        const items = popToMark();
        const list = topList().items;
        for (const item of items) list.push(item);
        break;
      }
      case 0x7d: // EMPTY_DICT
        stack.push({ kind: 'dict', items: new Map() });
        break;
      case 0x73: {
        // SETITEM
        const value = pop();
        const key = pop();
        topDict().items.set(key, value);
        break;
      }
      case 0x75: {
        // SETITEMS
        const items = popToMark();
        if (items.length % 2 !== 0) malformed('a dictionary gets a key without a value');
        const dict = topDict().items;
        for (let i = 0; i < items.length; i += 2)
          dict.set(items[i] as PickleValue, items[i + 1] as PickleValue);
        break;
      }

      case 0x63: {
        // GLOBAL
        const module = line();
        stack.push(names.global(module, line()));
        break;
      }
      case 0x93: {
        // STACK_GLOBAL
        const name = pop();
        const module = pop();
        if (typeof name !== 'string' || typeof module !== 'string')
          return malformed('a global is not named by strings');
        stack.push(names.global(module, name));
        break;
      }
      case 0x51: // BINPERSID
        stack.push(names.persistent(pop()));
        break;
      case 0x52: {
        // REDUCE
        const args = pop();
        const callee = pop();
        if (typeof args !== 'object' || args?.kind !== 'tuple')
          return malformed('the arguments of a call are not a tuple');
        stack.push(names.reduce(callee, args.items));
        break;
      }
      case 0x62: // BUILD
        pop();
        topDict();
        break;

      case 0x2e: // STOP
        return true;
      default: {
        const name = OBJECT_OPCODES.get(opcode);
        if (name !== undefined) {
          throw new IpgraftError(
            'ADAPTER_PICKLE_FORBIDDEN',
            `${file}: the pickle wants to make an object (${name}, at byte ${start} of data.pkl)`,
            { file, found: name, position: start },
          );
        }
        malformed(`unknown opcode 0x${opcode.toString(16).padStart(2, '0')}`);
      }
    }
    return false;
  };

  for (let operations = 0; ; operations++) {
    start = position;
    if (operations === MAX_OPERATIONS) malformed(`more than ${MAX_OPERATIONS} operations`);
    if (step(view.getUint8(take(1)))) break;
  }
  const result = pop();
  if (stack.length > 0 || marks.length > 0) malformed('values are left over');
  if (position !== bytes.length) malformed('bytes are left over after the end');
  return result;
}

/** Two's complement, little-endian, as many bytes as there are; a number where that is exact. */
function readLong(bytes: Uint8Array): number | bigint {
  let value = 0n;
  for (const byte of bytes.toReversed()) value = (value << 8n) | BigInt(byte);
  value = BigInt.asIntN(bytes.length * 8, value);
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}
