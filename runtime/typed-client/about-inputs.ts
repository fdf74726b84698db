import { MASK_INPUT } from '../../passes/insert-image-mask.js';
import { KV_INPUT } from '../../passes/insert-kv-input.js';
import { adapterSuffix } from '../../passes/names.js';
import { SCALE_INPUT } from '../../passes/scale-values.js';
import type { ReadStamp } from '../stamp.js';
import { inComment } from './literal.js';

const EVERY_ROW = 'A batch of 1 goes for every row of the text.';

/** What a patched model's own inputs mean, as lines of comments, by the names that they may have. */
export function aboutInputs(stamp: ReadStamp): Map<string, string[]> {
  const adapters = stamp['ipgraft.adapters'].map(({ name, ...rest }) => ({ ...rest, name: inComment(name) }));
  const options = stamp['ipgraft.options'];
  const about = new Map<string, string[]>();
  if ('dropImageTokens' in options) {
    about.set(stamp['ipgraft.input'], [
      `The text’s states and behind them ${options.dropImageTokens} image tokens, which this model passes over.`,
    ]);
    return about;
  }
  // A base that was given a batch and nothing else.
  if (!('tokens' in options)) return about;
  const tokensOf = ({ name, tokens, images }: (typeof adapters)[number]) =>
    `${tokens * images} of ${name}${images === 1 ? '' : ` (${images} images, ${tokens} each)`}`;
  if (options.tokens === 'split')
    about.set(stamp['ipgraft.input'], [
      `The text’s states and behind them, along axis 1, the image tokens: ${adapters.map(tokensOf).join(', then ')}.`,
    ]);
  adapters.forEach((adapter, index) => {
    const { name } = adapter;
    const suffix = adapterSuffix(index);
    about.set(`ip_hidden_states${suffix}`, [
      `Image tokens, ${tokensOf(adapter)}, as its image projection gives them. ${EVERY_ROW}`,
    ]);
    about.set(`image_embeds${suffix}`, [`What the image encoder of ${name} gives. ${EVERY_ROW}`]);
    about.set(`id_embeds${suffix}`, [`Face embeddings for ${name}. ${EVERY_ROW}`]);
    about.set(`${KV_INPUT}${suffix}`, [
      `Keys and values of the images of ${name}, as the model of keys and values gives them once per image. ${EVERY_ROW}`,
    ]);
  });
  const images = adapters.reduce((sum, each) => sum + each.images, 0);
  about.set(MASK_INPUT, [
    `Where each image counts, from 0 to 1; ${images} in the order of the adapters. ${EVERY_ROW}`,
  ]);
  // A model that is batched has rows for all its scales.
  const scaled = options.batched && options.scale === 'rows' ? undefined : SCALED[options.scale];
  const names = adapters.map(({ name }) => name).join(', ');
  about.set(SCALE_INPUT, [
    'How strongly the images count: 0 is the base’s result, 1 all of the adapter.',
    `There is ${scaled ?? 'one number per adapter'}${options.batched ? ', for each row of the batch' : ''}: ${names}.`,
  ]);
  return about;
}

const SCALED: Readonly<Record<string, string>> = {
  layers: 'a row per adapter, a column per cross-attention in checkpoint order (down, up, mid)',
  rows: 'a row per adapter, a column per row of the batch',
};
