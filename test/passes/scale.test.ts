import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { PlacedAttention } from '../../passes/checkpoint-order.js';
import { expandDiffusersScale } from '../../passes/diffusers-scale.js';
import { parseScale } from '../../passes/parse-scale.js';
import { badScale } from '../../passes/scale.js';
import { fixturePath } from '../fixtures.js';
import { refusal } from '../refusal.js';
import { attentionsOf, SD15, SDXL } from './scopes.js';

const sd15 = attentionsOf(SD15);
const sdxl = attentionsOf(SDXL);

const expanded = (entry: unknown, attentions: readonly PlacedAttention[]) =>
  expandDiffusersScale(entry, attentions, (why) => badScale(JSON.stringify(entry), why));

/** What diffusers made of one entry; `null` where it refused. */
interface Expansion {
  readonly unet: 'sd15' | 'sdxl';
  readonly given: { readonly up?: { readonly block_0?: unknown } };
  readonly layers: readonly number[] | null;
}

const EXPANSIONS = JSON.parse(readFileSync(fixturePath('kinds', 'scales.json'), 'utf8')) as Expansion[];

/** The ids that get something else than 0, with what they get. */
function scales(entry: unknown, attentions: readonly PlacedAttention[] = sd15): Record<number, number> {
  return Object.fromEntries([...expanded(entry, attentions)].filter(([, scale]) => scale !== 0));
}

function each(ids: readonly number[], scale: number): Record<number, number> {
  return Object.fromEntries(ids.map((id) => [id, scale]));
}

function range(first: number, last: number): number[] {
  return Array.from({ length: (last - first) / 2 + 1 }, (_, k) => first + 2 * k);
}

describe('diffusers’ scale', () => {
  for (const [title, entry, sought] of [
    ['a number is for all', 0.5, each(range(1, 31), 0.5)],
    ['what is not mentioned is 0', {}, {}],
    ['a part as a number', { up: 0.5 }, each(range(13, 29), 0.5)],
    ['mid as a number', { mid: 0.5 }, { 31: 0.5 }],
    ['mid as a list of one', { mid: [0.5] }, { 31: 0.5 }],
    ['a block as a number', { down: { block_2: 0.5 } }, { 9: 0.5, 11: 0.5 }],
    ['a block as a list: weights, not indices', { down: { block_2: [0, 1] } }, { 11: 1 }],
    ['a list of one is for all of the block', { up: { block_1: [0.5] } }, { 13: 0.5, 15: 0.5, 17: 0.5 }],
    ['a list of three in up', { up: { block_1: [0.1, 0.2, 0.3] } }, { 13: 0.1, 15: 0.2, 17: 0.3 }],
    ['down is two per block', { down: { block_0: [0.1, 0.2] } }, { 1: 0.1, 3: 0.2 }],
    [
      'parts together',
      { down: { block_2: [0, 1] }, mid: 0.5, up: { block_1: 0.7 } },
      { 11: 1, 31: 0.5, 13: 0.7, 15: 0.7, 17: 0.7 },
    ],
    ['negative numbers', { mid: -1 }, { 31: -1 }],
  ] as const) {
    it(title, () => {
      assert.deepEqual(scales(entry), sought);
    });
  }

  it('in SDXL all transformer blocks of an attention share its scale: InstantStyle’s style is ids 69 to 87', () => {
    assert.deepEqual(scales({ up: { block_0: [0, 1, 0] } }, sdxl), each(range(69, 87), 1));
  });

  it('in SDXL InstantStyle’s layout is ids 29 to 47', () => {
    assert.deepEqual(scales({ down: { block_2: [0, 1] } }, sdxl), each(range(29, 47), 1));
  });

  for (const [title, entry] of [
    ['an unknown part', { middle: 1 }],
    ['a block that the part does not have', { up: { block_7: 1 } }],
    ['a block without cross-attentions', { down: { block_3: 1 } }],
    ['a block by another name', { down: { 2: 1 } }],
    ['a list that is too long', { down: { block_2: [0, 1, 0] } }],
    ['a list that is too short', { up: { block_1: [0, 1] } }],
    ['an empty list', { up: { block_1: [] } }],
    ['a list of lists, which is for masks', { up: { block_1: [[0.5, 0.5]] } }],
    ['a list for mid that is too long', { mid: [1, 1] }],
    ['blocks in mid', { mid: { block_0: 1 } }],
    ['a list for a part', { down: [1, 1] }],
    ['text for a number', { down: '1' }],
    ['null for a part', { down: null }],
    ['null', null],
    ['text', 'strong'],
    ['infinity, as JSON’s 1e999 reads', { down: Number.POSITIVE_INFINITY }],
    ['infinity in a block', { up: { block_1: Number.POSITIVE_INFINITY } }],
  ] as const) {
    it(`refuses ${title}`, () => {
      assert.throws(() => expanded(entry, sd15), refusal('OPTION_SCALE'));
    });
  }

  for (const { unet, given, layers } of EXPANSIONS) {
    const attentions = { sd15, sdxl }[unet];
    // A block without attentions, which diffusers ignores.
    const isSlip = unet === 'sd15' && given.up?.block_0 !== undefined;
    it(`${unet}: ${JSON.stringify(given)} is what diffusers makes of it`, () => {
      if (layers === null || isSlip)
        assert.throws(() => expanded(given, attentions), refusal('OPTION_SCALE'));
      else {
        const found = expanded(given, attentions);
        assert.deepEqual(
          attentions.map(({ id }) => found.get(id) ?? 0),
          layers,
        );
      }
    });
  }

  it('takes parts but no blocks of a model without names, whose blocks are not known', () => {
    const nameless = sd15.map(({ id, place }, i) => ({ id, place: { part: place.part, numbers: [i] } }));
    assert.deepEqual(scales({ up: 0.5 }, nameless), each(range(13, 29), 0.5));
    assert.throws(() => expanded({ up: { block_1: 0.5 } }, nameless), refusal('OPTION_SCALE'));
  });
});

describe('parseScale', () => {
  for (const text of ['input', 'layers'] as const) {
    it(`${text} leaves it to the caller`, () => {
      assert.deepEqual(parseScale(text, sd15, 1), { kind: text });
    });
  }

  for (const [text, value] of [
    ['optional=0.6', 0.6],
    ['optional=-1', -1],
    ['optional=1e-3', 0.001],
  ] as const) {
    it(`${text} has a default`, () => {
      assert.deepEqual(parseScale(text, sd15, 1), { kind: 'optional', value });
    });
  }

  for (const [text, adapters, sought] of [
    ['0.6', 2, [0.6, 0.6]],
    ['{"mid": 0.5}', 2, [0.5, 0.5]],
    ['[{"mid": 0.5}, {"up": 1}]', 2, [0.5, 0]],
    ['[0.3, {"mid": 0.7}]', 2, [0.3, 0.7]],
  ] as const) {
    it(`${text} is baked in for ${adapters} adapters`, () => {
      const scale = parseScale(text, sd15, adapters);
      assert.ok(scale.kind === 'constant');
      const mid = sd15.at(-1)!;
      assert.deepEqual(
        sought.map((_, adapter) => scale.of(adapter, mid)),
        sought,
      );
    });
  }

  for (const text of [
    '',
    ' ',
    'strong',
    'NaN',
    'Infinity',
    '1e999',
    '0,6',
    '0.6x',
    'optional',
    'optional=',
    'optional=strong',
    'optional=Infinity',
    'Input',
    '{',
    '{"mid": }',
    '{"mid": 1e999}',
    '[]',
    '[1, 1]',
    '["a"]',
    'null',
  ]) {
    it(`refuses “${text}” for one adapter`, () => {
      assert.throws(() => parseScale(text, sd15, 1), refusal('OPTION_SCALE'));
    });
  }
});
