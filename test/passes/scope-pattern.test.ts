import assert from 'node:assert/strict';
import { scopeMatcher } from '../../passes/scope-pattern.js';
import { refusal } from '../refusal.js';

const SCOPE = 'down_blocks.2.attentions.1.transformer_blocks.0.attn2';

describe('scopeMatcher', () => {
  for (const [pattern, scope, matches] of [
    ['**.attn2', SCOPE, true],
    ['**.attn2', `unet.${SCOPE}`, true],
    ['**.attn2', 'attn2', true],
    ['**.attn2', SCOPE.replace('attn2', 'attn1'), false],
    ['**.attn2', `${SCOPE}.to_k`, false],
    ['*.attn2', SCOPE, false],
    ['down_blocks.*.attentions.*.transformer_blocks.*.attn2', SCOPE, true],
    ['down_blocks.*.attn2', SCOPE, false],
    ['down_blocks.**', SCOPE, true],
    ['up_blocks.**', SCOPE, false],
    ['**.attentions.1.**.attn2', SCOPE, true],
    ['{down,up}_blocks.**.attn2', SCOPE, true],
    ['down_blocks.[01].**', SCOPE, false],
    ['down_blocks.?.**', SCOPE, true],
    [SCOPE, SCOPE, true],
    ['/attn2$/', SCOPE, true],
    ['/^mid_block/', SCOPE, false],
    ['/blocks\\.2\\./', SCOPE, true],
    ['/blocks.2/', SCOPE, true],
  ] as const) {
    it(`${pattern} ${matches ? 'matches' : 'does not match'} ${scope}`, () => {
      assert.equal(scopeMatcher([pattern])(scope), matches);
    });
  }

  it('without patterns means the cross-attentions', () => {
    const matches = scopeMatcher([]);
    assert.deepEqual([matches(SCOPE), matches(SCOPE.replace('attn2', 'attn1'))], [true, false]);
  });

  it('of several patterns needs one', () => {
    const matches = scopeMatcher(['up_blocks.**', 'down_blocks.**']);
    assert.deepEqual([matches(SCOPE), matches('mid_block.attentions.0')], [true, false]);
  });

  for (const pattern of ['/(/', '/[z-a]/', '']) {
    it(`refuses “${pattern}”`, () => {
      assert.throws(() => scopeMatcher([pattern]), refusal('OPTION_INVALID'));
    });
  }
});
