import assert from 'node:assert/strict';
import { bytesOf } from '../../compiler/wire/segment-bytes.js';
import { packHeads } from '../../passes/pack-heads.js';

describe('packHeads', () => {
  it('puts each head’s value columns behind its key columns, row by row', async () => {
    // C = 2 rows, H = 2 heads, d = 3 columns: 12 numbers each.
    const numbers = (from: number) => Uint8Array.from({ length: 12 }, (_, i) => from + i);
    const loaded = (bytes: Uint8Array) => ({ kind: 'loaded', length: bytes.length, bytes }) as const;
    const packed = packHeads(loaded(numbers(0)), loaded(numbers(100)), 2 * 2);
    const chunks: number[] = [];
    for await (const chunk of bytesOf(packed)) chunks.push(...chunk);
    assert.equal(packed.length, 24);
    assert.deepEqual(chunks.slice(0, 12), [0, 1, 2, 100, 101, 102, 3, 4, 5, 103, 104, 105]);
    assert.deepEqual(chunks.slice(12), [6, 7, 8, 106, 107, 108, 9, 10, 11, 109, 110, 111]);
  });
});
