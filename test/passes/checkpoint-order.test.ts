import assert from 'node:assert/strict';
import fc from 'fast-check';
import { inCheckpointOrder, placeOf } from '../../passes/checkpoint-order.js';
import { refusal } from '../refusal.js';
import { attentionsOf, SD15, SD15_LDM, SDXL, SDXL_LDM } from './scopes.js';

function idsByScope(scopes: readonly string[]): Map<string, number> {
  return new Map(attentionsOf(scopes).map(({ scope, id }) => [scope, id]));
}

/** As a graph computes: down, mid, up. */
function inGraphOrder(scopes: readonly string[]): string[] {
  const rank = (scope: string) => (/down|input/.test(scope) ? 0 : /mid/.test(scope) ? 1 : 2);
  return scopes.toSorted((a, b) => rank(a) - rank(b));
}

describe('checkpoint order of SD1.5', () => {
  for (const [id, module, ldm] of [
    [1, 'down_blocks.0.attentions.0', 'input_blocks.1.1'],
    [3, 'down_blocks.0.attentions.1', 'input_blocks.2.1'],
    [5, 'down_blocks.1.attentions.0', 'input_blocks.4.1'],
    [7, 'down_blocks.1.attentions.1', 'input_blocks.5.1'],
    [9, 'down_blocks.2.attentions.0', 'input_blocks.7.1'],
    [11, 'down_blocks.2.attentions.1', 'input_blocks.8.1'],
    [13, 'up_blocks.1.attentions.0', 'output_blocks.3.1'],
    [15, 'up_blocks.1.attentions.1', 'output_blocks.4.1'],
    [17, 'up_blocks.1.attentions.2', 'output_blocks.5.1'],
    [19, 'up_blocks.2.attentions.0', 'output_blocks.6.1'],
    [21, 'up_blocks.2.attentions.1', 'output_blocks.7.1'],
    [23, 'up_blocks.2.attentions.2', 'output_blocks.8.1'],
    [25, 'up_blocks.3.attentions.0', 'output_blocks.9.1'],
    [27, 'up_blocks.3.attentions.1', 'output_blocks.10.1'],
    [29, 'up_blocks.3.attentions.2', 'output_blocks.11.1'],
    [31, 'mid_block.attentions.0', 'middle_block.1'],
  ] as const) {
    it(`id ${id} is ${module}, in latent-diffusion's words ${ldm}`, () => {
      const rest = 'transformer_blocks.0.attn2';
      assert.equal(idsByScope(inGraphOrder(SD15)).get(`${module}.${rest}`), id);
      assert.equal(idsByScope(inGraphOrder(SD15_LDM)).get(`model.diffusion_model.${ldm}.${rest}`), id);
    });
  }
});

describe('checkpoint order of SDXL', () => {
  for (const [first, last, module, ldm] of [
    [1, 3, 'down_blocks.1.attentions.0', 'input_blocks.4.1'],
    [5, 7, 'down_blocks.1.attentions.1', 'input_blocks.5.1'],
    [9, 27, 'down_blocks.2.attentions.0', 'input_blocks.7.1'],
    [29, 47, 'down_blocks.2.attentions.1', 'input_blocks.8.1'],
    [49, 67, 'up_blocks.0.attentions.0', 'output_blocks.0.1'],
    [69, 87, 'up_blocks.0.attentions.1', 'output_blocks.1.1'],
    [89, 107, 'up_blocks.0.attentions.2', 'output_blocks.2.1'],
    [109, 111, 'up_blocks.1.attentions.0', 'output_blocks.3.1'],
    [113, 115, 'up_blocks.1.attentions.1', 'output_blocks.4.1'],
    [117, 119, 'up_blocks.1.attentions.2', 'output_blocks.5.1'],
    [121, 139, 'mid_block.attentions.0', 'middle_block.1'],
  ] as const) {
    it(`ids ${first} to ${last} are the transformer blocks of ${module}`, () => {
      const sought = Array.from({ length: (last - first) / 2 + 1 }, (_, k) => first + 2 * k);
      for (const [scopes, path] of [
        [SDXL, module],
        [SDXL_LDM, ldm],
      ] as const) {
        const ids = idsByScope(inGraphOrder(scopes));
        const found = sought.map((_, k) => ids.get(`${path}.transformer_blocks.${k}.attn2`));
        assert.deepEqual(found, sought);
      }
    });
  }

  it('counts 70', () => {
    assert.equal(attentionsOf(SDXL).at(-1)?.id, 139);
  });
});

describe('inCheckpointOrder', () => {
  it('gives one order, however the graph orders them', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(SDXL, { minLength: SDXL.length }), (shuffled) => {
        assert.deepEqual(
          attentionsOf(shuffled).map(({ scope }) => scope),
          SDXL,
        );
      }),
    );
  });

  it('compares numbers as numbers: 2 before 10', () => {
    const place = (k: number) => placeOf(`mid_block.attentions.0.transformer_blocks.${k}.attn2`);
    assert.ok(inCheckpointOrder(place(2), place(10)) < 0);
  });
});

describe('placeOf', () => {
  it('passes over what a wrapper puts in front', () => {
    assert.deepEqual(placeOf('model.unet.up_blocks.1.attentions.2.transformer_blocks.3.attn2'), {
      part: 'up',
      numbers: [1, 2, 3],
    });
  });

  for (const scope of ['attn2', 'down_blocks_0.attn2', 'controlnet.blocks.0.attn2', '']) {
    it(`refuses “${scope}”, which names no part`, () => {
      assert.throws(() => placeOf(scope), refusal('MATCH_PLACE'));
    });
  }
});
