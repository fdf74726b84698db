import assert from 'node:assert/strict';
import { flattenTensors } from '../../../compiler/checkpoint/flatten.js';
import { readPickle } from '../../../compiler/checkpoint/pickle.js';
import { torchNames } from '../../../compiler/checkpoint/torch-names.js';
import { type ErrorCode, IpgraftError } from '../../../compiler/errors.js';
import { assertRefused, bytesOf, type Part, pickle, torchZip } from './samples.js';

function read(bytes: Uint8Array) {
  return readPickle(bytes, torchNames('sample'), 'sample');
}

function assertCode(bytes: Uint8Array, code: ErrorCode, message = /./): void {
  assert.throws(
    () => flattenTensors(read(bytes), 'sample'),
    (error: unknown) => error instanceof IpgraftError && error.code === code && message.test(error.message),
  );
}

describe('pickles', () => {
  it('give values of every kind', () => {
    const root = read(
      bytesOf(
        '\x80\x04\x95',
        new Uint8Array(8),
        pickle.dict(
          ['none', 'N'],
          ['yes', '\x88'],
          ['no', '\x89'],
          ['byte', 'K\xff'],
          ['short', 'M\x01\x02'],
          ['int', pickle.int(-5)],
          ['long', '\x8a\x02\xff\xff'],
          ['huge', '\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01'],
          ['float', 'G\x3f\xf8\x00\x00\x00\x00\x00\x00'],
          ['text', ['X', [3, 0, 0, 0], 'h\xc3\xa4']],
          ['list', '](K\x01K\x02eK\x03a'],
          ['tuple', 'K\x01K\x02K\x03\x87'],
          ['pair', 'K\x01K\x02\x86'],
          ['kept', [pickle.text('memo'), '\x94']],
          ['memo', 'h\x00'],
        ),
        '.',
      ),
    );
    assert.ok(typeof root === 'object' && root?.kind === 'dict');
    const values = Object.fromEntries(root.items as Map<string, unknown>);
    assert.deepEqual(values, {
      none: null,
      yes: true,
      no: false,
      byte: 255,
      short: 513,
      int: -5,
      long: -1,
      huge: 2n ** 64n,
      float: 1.5,
      text: 'hä',
      list: { kind: 'list', items: [1, 2, 3] },
      tuple: { kind: 'tuple', items: [1, 2, 3] },
      pair: { kind: 'tuple', items: [1, 2] },
      kept: 'memo',
      memo: 'memo',
    });
  });

  it('cannot reach a prototype', () => {
    const root = read(
      pickle.file(pickle.dict(['__proto__', pickle.dict(['polluted', '\x88'])], ['constructor', 'N'])),
    );
    assert.ok(typeof root === 'object' && root?.kind === 'dict' && root.items.size === 2);
    assert.equal('polluted' in {}, false);
  });

  describe('are refused when they name', () => {
    for (const name of [
      'posix.system',
      'os.system',
      'nt.system',
      'subprocess.Popen',
      'builtins.eval',
      '__builtin__.eval',
      'builtins.exec',
      'builtins.getattr',
      'torch.load',
      'torch.hub.load',
      'torch._utils._rebuild_qtensor',
      'torch._utils.__builtins__',
      'torch.storage._load_from_bytes',
      'collections.OrderedDict.__init__',
      'Object.prototype.constructor',
      '__proto__.constructor',
      'numpy.core.multiarray._reconstruct',
    ]) {
      const [module, last] = [name.slice(0, name.lastIndexOf('.')), name.slice(name.lastIndexOf('.') + 1)];
      it(name, () => {
        assertCode(
          pickle.file(pickle.global(name), pickle.tuple(pickle.text('id')), 'R'),
          'ADAPTER_PICKLE_FORBIDDEN',
          new RegExp(name.replaceAll('.', '\\.')),
        );
        assertCode(pickle.file(pickle.text(module), pickle.text(last), '\x93)R'), 'ADAPTER_PICKLE_FORBIDDEN');
        // Even where the name is only kept, not called.
        assertCode(pickle.file(pickle.dict(['a', pickle.global(name)])), 'ADAPTER_PICKLE_FORBIDDEN');
      });
    }
  });

  describe('are refused when they make objects by', () => {
    const objects: Readonly<Record<string, Part>> = {
      INST: '(iposix\nsystem\n',
      OBJ: ['(', pickle.global('collections.OrderedDict'), 'o'],
      NEWOBJ: [pickle.global('collections.OrderedDict'), ')\x81'],
      NEWOBJ_EX: [pickle.global('collections.OrderedDict'), ')}\x92'],
      EXT1: '\x82\x01',
      EXT2: '\x83\x01\x00',
      EXT4: '\x84\x01\x00\x00\x00',
      PERSID: 'Pstorage\n',
      NEXT_BUFFER: '\x97',
    };
    for (const [opcode, content] of Object.entries(objects)) {
      it(opcode, () => assertCode(pickle.file(content), 'ADAPTER_PICKLE_FORBIDDEN', new RegExp(opcode)));
    }
  });

  describe('are refused with', () => {
    const ordered = pickle.global('collections.OrderedDict');
    const storage = (...items: readonly Part[]): Part => [pickle.tuple(...items), 'Q'];
    const malformed: Readonly<Record<string, Part>> = {
      'nothing in them': '',
      'an unknown opcode': '\xff',
      'text opcodes of protocol 0': 'I1\n',
      'a call of a string': [pickle.text('eval'), ')R'],
      'a call of a type': [pickle.global('torch.FloatStorage'), ')R'],
      'a call of a dictionary': '})R',
      'a call without a tuple': [ordered, ']R'],
      'arguments for OrderedDict': [ordered, 'K\x01\x85R'],
      'a state for a function': [ordered, '}b'],
      'a state for a tensor': [pickle.tensor([1], [1], 0, 1), '}b'],
      'an item for a list': ']K\x01K\x02s',
      'items for a tuple': ')(K\x01K\x02u',
      'an append to a dictionary': '}K\x01a',
      'a key without a value': '}(K\x01u',
      'a mark that was never set': '}u',
      'a mark that is never used': '}(',
      'an empty stack': 'a',
      'values below the mark': 'K\x01(\x85',
      'two values': '}}',
      'an empty memo': 'h\x07',
      'a memo of nothing': 'q\x00',
      'PROTO in the middle': '\x80\x02}',
      'a string that is longer than the file': ['X', [255, 255, 255, 255], 'a'],
      'a string that is not UTF-8': '}\x8c\x01\xffK\x01s',
      'a name without an end': `c${'a'.repeat(1000)}`,
      'a name that ends with the file': 'cos',
      'a storage that is a string': [pickle.text('storage'), 'Q'],
      'a storage of another kind': storage(
        pickle.text('module'),
        pickle.global('torch.FloatStorage'),
        pickle.text('0'),
        pickle.text('cpu'),
        'K\x01',
      ),
      'a storage of no class': storage(
        pickle.text('storage'),
        ordered,
        pickle.text('0'),
        pickle.text('cpu'),
        'K\x01',
      ),
      'a storage whose key is a number': storage(
        pickle.text('storage'),
        pickle.global('torch.FloatStorage'),
        'K\x00',
        pickle.text('cpu'),
        'K\x01',
      ),
      'a storage beyond all numbers': storage(
        pickle.text('storage'),
        pickle.global('torch.FloatStorage'),
        pickle.text('0'),
        pickle.text('cpu'),
        '\x8a\x07\xff\xff\xff\xff\xff\xff\x1f',
      ),
      'a parameter of nothing': [pickle.global('torch._utils._rebuild_parameter'), ')R'],
      'a tensor of nothing': [pickle.global('torch._utils._rebuild_tensor_v2'), ')R'],
      'a dictionary in itself': ['}q\x00', pickle.text('a'), 'h\x00s'],
      'two tensors of one name': pickle.dict(
        ['a', pickle.dict(['b.c', pickle.tensor([1], [1], 0, 1)])],
        ['a.b', pickle.dict(['c', pickle.tensor([1], [1], 0, 1)])],
      ),
      'a key that is a tuple': ['})', pickle.tensor([1], [1], 0, 1), 's'],
      'dictionaries nested too deep': [
        Array.from({ length: 40 }, () => ['}', pickle.text('a')]),
        '}',
        's'.repeat(40),
      ],
      'names that grow too long': [
        '}',
        pickle.text('a'.repeat(250)),
        '}',
        pickle.text('a'.repeat(250)),
        '}',
        pickle.text('a'.repeat(250)),
        '}',
        pickle.text('a'.repeat(250)),
        '}',
        pickle.text('a'.repeat(250)),
        '}sssss',
      ],
    };
    for (const [what, content] of Object.entries(malformed)) {
      it(what, () => assertCode(pickle.file(content), 'ADAPTER_PICKLE_MALFORMED'));
    }

    it('bytes after their end', () => assertCode(bytesOf('\x80\x02}.}'), 'ADAPTER_PICKLE_MALFORMED'));
    it('protocol 1', () => assertCode(bytesOf('\x80\x01}.'), 'ADAPTER_PICKLE_MALFORMED'));

    it('a million dictionaries', () =>
      assertCode(
        bytesOf('\x80\x02', new Uint8Array(1_100_000).fill(0x7d), '.'),
        'ADAPTER_PICKLE_MALFORMED',
        /operations/,
      ));

    it('a few dictionaries that hold one another, doubling at each level', () => {
      const levels = Array.from(
        { length: 30 },
        (_, i): Part => ['}(', pickle.text('a'), ['h', i], pickle.text('b'), ['h', i], 'u', ['q', i + 1]],
      );
      // What each level leaves below the last is kept in a list that the root holds.
      const data = pickle.file(
        '](}q\x00',
        levels,
        'e',
        '\x85',
        ['q', 50],
        '}',
        pickle.text('r'),
        ['h', 30],
        's',
        '\x86',
      );
      assertCode(
        bytesOf('\x80\x02}', pickle.text('l'), '](}q\x00', levels, 'es', pickle.text('r'), ['h', 30], 's.'),
        'ADAPTER_PICKLE_MALFORMED',
        /entries/,
      );
      assertCode(data, 'ADAPTER_NOT_A_CHECKPOINT');
    });
  });

  it('take a million items in one go', () => {
    const items = bytesOf('\x80\x02](', new Uint8Array(900_000).fill(0x4e), 'e.');
    const list = read(items);
    assert.ok(typeof list === 'object' && list?.kind === 'list' && list.items.length === 900_000);
  });

  it('are refused within a file as they are alone', async () => {
    await assertRefused(await torchZip(pickle.file('(iposix\nsystem\n')), 'ADAPTER_PICKLE_FORBIDDEN', /INST/);
  });
});
