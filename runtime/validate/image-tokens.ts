import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import type { Adapter } from '../../passes/adapter/adapter.js';
import { adapterSuffix, imageStatesOf, imageTokensOf } from '../../passes/names.js';
import type { OpenedModel } from '../open.js';
import type { Values } from '../session/session.js';
import type { ReadStamp } from '../stamp.js';
import { linear } from './attention-formula.js';
import { compared } from './comparison.js';
import { initializerNumbers } from './image-weights.js';
import { type AdapterOptions, outLayer, type PatchedSites, type Stream } from './patched-sites.js';
import { projectedTokens } from './projection-formula.js';
import { type Probe, tensorOf } from './site-formula.js';
import type { Check } from './validation.js';

/** What the image tokens are checked with. */
export interface TokensTask {
  readonly probe: Probe;
  readonly patched: OpenedModel;
  readonly stamp: ReadStamp;
  readonly options: AdapterOptions;
  readonly adapters: readonly Adapter[];
  readonly limit: number;
}

/** The values in which a patched model has its image tokens. */
export function tokenValues({ graph }: OpenedModel, { streams }: PatchedSites): string[] {
  const names = streams.flatMap(({ index }) => [imageTokensOf(index), imageStatesOf(index)]);
  return names.filter((name) => graph.producer(name) !== undefined);
}

/**
 * Checks that the image tokens of a patched model are those that it was given: cut from the text input, read from an input of their own, or
 * projected from embeddings as the checkpoint says; and where they pass the linear layer of the text, what comes out of it.
 */
export async function checkTokens(task: TokensTask): Promise<Check[]> {
  const { probe, stamp, options, adapters } = task;
  const check = (name: string, passed: boolean | null, difference: number | null, detail: string): Check => ({
    ...{ name, passed, difference, detail },
  });
  const checks: Check[] = [];
  for (const adapter of stamp['ipgraft.adapters'].keys()) {
    const streams = probe.found.streams.filter((stream) => stream.adapter === adapter);
    const whose = stamp['ipgraft.adapters'].length === 1 ? '' : ` of adapter ${adapter + 1}`;
    const given = adapters[adapter];
    const isProjected = options.tokens === 'embeds';
    const name = `image tokens${whose}, ${isProjected ? 'projected' : 'as given'}`;
    if (isProjected && given === undefined) {
      checks.push(check(name, null, null, 'the checkpoint was not given (--adapter)'));
      continue;
    }
    const expected = isProjected ? await projected(task, adapter, given!) : asGiven(task, adapter);
    const numbers = worst(streams.map((stream) => comparedTokens(probe, stream, expected)));
    const how = isProjected ? `${given!.projection.family} of ${given!.name}, recomputed; ` : '';
    const detail = `${how}relative ${numbers.relative.toPrecision(2)}, limit ${task.limit}`;
    checks.push(check(name, numbers.relative <= task.limit, numbers.difference, detail));
    const states = await comparedStates(task, streams);
    if (states === null) continue;
    const through = `relative ${states.relative.toPrecision(2)}, limit ${task.limit}`;
    checks.push(
      check(
        `image tokens${whose} behind the text’s linear layer`,
        states.relative <= task.limit,
        states.difference,
        through,
      ),
    );
  }
  return checks;
}

function worst<T extends { readonly relative: number }>(all: readonly T[]): T {
  return all.reduce((most, each) => (each.relative > most.relative ? each : most));
}

/** [B or 1, n · T, C], as the caller gave them. */
function asGiven({ probe: { feeds }, stamp, options }: TokensTask, adapter: number): Values {
  const own = feeds[`ip_hidden_states${adapterSuffix(adapter)}`];
  if (options.tokens === 'input') return own!;
  const counts = stamp['ipgraft.adapters'].map(({ tokens, images }) => tokens * images);
  const behind = counts.slice(adapter).reduce((sum, count) => sum + count, 0);
  const text = feeds[stamp['ipgraft.input']]!;
  return tokensFrom(text, text.dims[1]! - behind, counts[adapter]!);
}

async function projected(
  { probe: { tf, feeds } }: TokensTask,
  index: number,
  adapter: Adapter,
): Promise<Values> {
  const suffix = adapterSuffix(index);
  const image = feeds[`image_embeds${suffix}`]!;
  const tokens = await projectedTokens(tf, adapter, { image, face: feeds[`id_embeds${suffix}`] ?? null });
  // Several images stand behind each other in one row.
  const [rows] = image.dims;
  return { dims: [rows!, (tokens.dims[0]! / rows!) * adapter.tokens, adapter.tokenWidth], data: tokens.data };
}

function comparedTokens({ results }: Probe, { index, begin, tokens }: Stream, expected: Values) {
  const found = results.get(imageTokensOf(index))!;
  const own = tokensFrom(expected, begin, tokens);
  const rows = found.dims[0]! / own.dims[0]!;
  // One image serves every row.
  const data =
    rows === 1 ? own.data : Float32Array.from(found.data, (_, i) => own.data[i % own.data.length]!);
  return compared(found.data, data);
}

/** [B, L, C] → [B, count, C]. */
function tokensFrom({ dims, data }: Values, begin: number, count: number): Values {
  const [rows, length, width] = dims as [number, number, number];
  const part = new Float32Array(rows * count * width);
  for (let row = 0; row < rows; row++) {
    const from = (row * length + begin) * width;
    part.set(data.subarray(from, from + count * width), row * count * width);
  }
  return { dims: [rows, count, width], data: part };
}

/** `null` where tokens are as wide as what to_k_ip reads. */
async function comparedStates({ probe, patched }: TokensTask, streams: readonly Stream[]) {
  const { tf, results, found } = probe;
  const through = streams.filter(({ index }) => results.has(imageStatesOf(index)));
  if (through.length === 0) return null;
  const layer = outLayer(found.base, found.located.textLinear[0]!)!;
  const weight = await initializerNumbers(patched, layer.weight);
  const bias = layer.bias === null ? null : await initializerNumbers(patched, layer.bias);
  return worst(
    through.map(({ index }) => {
      const expected = tf.tidy(() => {
        const turned = tf.transpose(tensorOf<Tensor2D>(tf, weight));
        const shift = bias === null ? null : tf.tensor2d(bias.data, [1, bias.data.length]);
        const tokens = tensorOf<Tensor3D>(tf, results.get(imageTokensOf(index))!);
        return linear(tf, tokens, turned, shift).dataSync() as Float32Array;
      });
      return compared(results.get(imageStatesOf(index))!.data, expected);
    }),
  );
}
