import type { Values } from '../../session/session.js';
import type { RunOptions } from '../component-model.js';
import type { VaeConfig } from '../folder/component-config.js';
import type { Pipeline } from '../pipeline.js';
import { rowsOf, runComponent, stackRows } from '../run-component.js';

/** Draws `count` normal numbers. */
export type DrawNormal = (count: number) => Float32Array;

/**
 * Latents [n, C, h, w] → pictures [n, 3, H, W] from −1 to 1, one at a time: decoding takes more memory than anything else.
 * @throws IpgraftError as the decoder
 */
export async function decodeLatents(
  { models, vae }: Pipeline,
  latents: Values,
  options: RunOptions = {},
): Promise<Values> {
  const decoder = await models.load('vae_decoder');
  const input = decoder.inputs[0]!.name;
  const output = decoder.outputs[0]!.name;
  const pictures: Values[] = [];
  for (let row = 0; row < latents.dims[0]!; row++) {
    const sample = unscaled(rowsOf(latents, row, row + 1), vae);
    const outputs = await runComponent(decoder, { [input]: sample }, { ...options, outputs: [output] });
    pictures.push(outputs.get(output)!);
  }
  return stackRows(pictures);
}

/**
 * A picture [1, 3, H, W] from −1 to 1 → latents [1, C, h, w]: the mean that the encoder gives and, drawn, its deviation. Encoders that draw
 * by themselves (their output has no more channels than latents) are taken at their word.
 *
 * Source: diffusers' `DiagonalGaussianDistribution.sample`, `prepare_latents` of its image-to-image pipelines.
 * @throws IpgraftError as the encoder
 */
export async function encodePicture(
  { models, vae }: Pipeline,
  picture: Values,
  draw: DrawNormal,
  options: RunOptions = {},
): Promise<Values> {
  const encoder = await models.load('vae_encoder');
  const output = encoder.outputs[0]!.name;
  const outputs = await runComponent(
    encoder,
    { [encoder.inputs[0]!.name]: picture },
    { ...options, outputs: [output] },
  );
  const { dims, data } = outputs.get(output)!;
  const [, channels, height, width] = dims as [number, number, number, number];
  if (channels === vae.latentChannels) return scaled({ dims, data }, vae);
  const count = data.length / 2;
  const noise = draw(count);
  const sample = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const logVariance = Math.min(Math.max(data[count + i]!, -30), 20);
    sample[i] = data[i]! + Math.fround(Math.exp(0.5 * logVariance)) * noise[i]!;
  }
  return scaled({ dims: [1, channels / 2, height, width], data: sample }, vae);
}

/** What the UNet reads → what the decoder reads. */
function unscaled(
  latents: Values,
  { scalingFactor, shiftFactor, latentsMean, latentsStd }: VaeConfig,
): Values {
  return perChannel(latents, (value, channel) =>
    latentsMean !== null && latentsStd !== null
      ? (value * latentsStd[channel]!) / scalingFactor + latentsMean[channel]!
      : value / scalingFactor + (shiftFactor ?? 0),
  );
}

function scaled(latents: Values, { scalingFactor, shiftFactor, latentsMean, latentsStd }: VaeConfig): Values {
  return perChannel(latents, (value, channel) =>
    latentsMean !== null && latentsStd !== null
      ? ((value - latentsMean[channel]!) * scalingFactor) / latentsStd[channel]!
      : (value - (shiftFactor ?? 0)) * scalingFactor,
  );
}

function perChannel({ dims, data }: Values, of: (value: number, channel: number) => number): Values {
  const size = dims[2]! * dims[3]!;
  return { dims, data: data.map((value, i) => of(value, Math.floor(i / size) % dims[1]!)) };
}
