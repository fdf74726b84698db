import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { clipTokenizer, type TokenizerFiles } from '../../runtime/pipeline/text/clip-tokenizer.js';
import { clipDefinition } from '../../runtime/pipeline/text/tokenizer-definition.js';
import { fixturePath } from '../fixtures.js';
import { refusal } from '../refusal.js';

const file = (pipeline: string, folder: string, name: string) =>
  readFileSync(fixturePath('pictures', pipeline, folder, name), 'utf8');
const json = (pipeline: string, folder: string, name: string): unknown =>
  JSON.parse(file(pipeline, folder, name));

/** The files of a tokenizer that has no tokenizer.json. */
function filesOf(pipeline: string, folder = 'tokenizer'): TokenizerFiles {
  return {
    config: json(pipeline, folder, 'tokenizer_config.json'),
    specialTokens: json(pipeline, folder, 'special_tokens_map.json'),
    vocab: json(pipeline, folder, 'vocab.json'),
    merges: file(pipeline, folder, 'merges.txt'),
  };
}

describe('CLIP’s tokenizer', () => {
  const expected = JSON.parse(readFileSync(fixturePath('pictures', 'tokens.json'), 'utf8')) as Record<
    string,
    number[]
  >;

  it('makes of awkward prompts what transformers makes of them', async () => {
    const tokenizer = await clipTokenizer(filesOf('sd15'), 'tokenizer');
    for (const [prompt, ids] of Object.entries(expected))
      assert.deepEqual(tokenizer.encode(prompt).ids, ids, JSON.stringify(prompt));
    assert.ok(Object.keys(expected).length > 20);
  });

  it('is the same from a tokenizer.json', async () => {
    const { vocab, merges, ...rest } = filesOf('sd15');
    const ends = { bos: '<|startoftext|>', eos: '<|endoftext|>', unk: '<|endoftext|>' };
    const definition = clipDefinition({ vocab: vocab as Record<string, number>, merges: merges! }, ends);
    const tokenizer = await clipTokenizer(
      { ...rest, definition: JSON.parse(JSON.stringify(definition)) },
      'tokenizer',
    );
    for (const [prompt, ids] of Object.entries(expected)) assert.deepEqual(tokenizer.encode(prompt).ids, ids);
  });

  it('pads with the folder’s own token: the end in SD1.x, 0 in SD2 and SDXL’s second', async () => {
    const last = async (...where: [string, string?]) =>
      (await clipTokenizer(filesOf(...where), 'tokenizer')).encode('a').ids.at(-1);
    const end = Object.values(expected)[0]!.at(-1);
    assert.deepEqual([await last('sd15'), await last('sd2'), await last('sdxl', 'tokenizer_2')], [end, 0, 0]);
  });

  it('says what it cuts', async () => {
    const tokenizer = await clipTokenizer(filesOf('sd15'), 'tokenizer');
    assert.equal(tokenizer.encode('fox').cut, '');
    const { ids, cut } = tokenizer.encode(`${'red '.repeat(75)}fox`);
    assert.equal(ids.length, 77);
    assert.equal(cut, 'fox');
  });

  it('refuses folders without a vocabulary, or with one that lacks its own tokens', async () => {
    const { config } = filesOf('sd15');
    await assert.rejects(clipTokenizer({ config }, 'tokenizer'), refusal('PIPELINE_TOKENIZER'));
    await assert.rejects(
      clipTokenizer({ config, vocab: { a: -1 }, merges: '' }, 'tokenizer'),
      refusal('PIPELINE_TOKENIZER'),
    );
    await assert.rejects(
      clipTokenizer({ config, vocab: { a: 0 }, merges: '' }, 'tokenizer'),
      refusal('PIPELINE_TOKENIZER'),
    );
    await assert.rejects(
      clipTokenizer({ config, definition: {} }, 'tokenizer'),
      refusal('PIPELINE_TOKENIZER'),
    );
    await assert.rejects(
      clipTokenizer({ config: { pad_token: 3 } }, 'tokenizer'),
      refusal('PIPELINE_TOKENIZER'),
    );
  });
});
