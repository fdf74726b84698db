import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import type { Adapter } from '../../passes/adapter/adapter.js';
import { KV_INPUT } from '../../passes/insert-kv-input.js';
import { adapterSuffix } from '../../passes/names.js';
import { hoistedPath } from '../hoist.js';
import { openModel } from '../open.js';
import type { Provider } from '../session/load-runtime.js';
import { loadSession, type Values } from '../session/session.js';
import { linear } from './attention-formula.js';
import { type Compared, compared } from './comparison.js';
import { HoistedKv } from './hoisted-kv.js';
import { checkpointWeights } from './image-weights.js';
import type { PatchedSites } from './patched-sites.js';
import { projectedTokens } from './projection-formula.js';
import type { TensorFlow } from './second-engine.js';
import { seededInputs } from './seeded-inputs.js';
import { tensorOf } from './site-formula.js';
import type { Check } from './validation.js';

/** The models beside a hoisted UNet that make its `ip_kv`, and what they are checked with. */
export interface HoistedTask {
  readonly tf: TensorFlow;
  /** Of the UNet: `OUT.kv.onnx` lies beside it. */
  readonly path: string;
  readonly found: PatchedSites;
  /** One for each adapter in the model; none where none was given. */
  readonly adapters: readonly Adapter[];
  readonly provider: Provider;
  readonly seed: number;
  readonly limit: number;
}

/** Runs each `OUT.kv.onnx` on seeded inputs and holds its keys and values to the checkpoint's weights. */
export async function checkHoistedModels(task: HoistedTask): Promise<Check[]> {
  const adapters = [...new Set(task.found.streams.map(({ adapter }) => adapter))];
  return Promise.all(
    adapters.map(async (adapter): Promise<Check> => {
      const file = hoistedPath(task.path, adapter);
      const name = `${basename(file)}, recomputed`;
      const unknown = (detail: string): Check => ({ name, passed: null, difference: null, detail });
      if (task.adapters[adapter] === undefined) return unknown('the checkpoint was not given (--adapter)');
      if (!existsSync(file)) return unknown('it does not lie beside the UNet');
      const { difference, relative } = await worstOfKv(task, adapter, file);
      const detail = `relative ${relative.toPrecision(2)}, limit ${task.limit}`;
      return { name, passed: relative <= task.limit, difference, detail };
    }),
  );
}

async function worstOfKv(
  { tf, found, adapters, provider, seed }: HoistedTask,
  adapter: number,
  file: string,
): Promise<Compared> {
  const model = await openModel(file);
  const session = await loadSession(file, provider);
  try {
    const feeds = seededInputs(model.graph, seed);
    const kv = (await session.run(feeds)).get(KV_INPUT)!;
    const checkpoint = adapters[adapter]!;
    const tokens = await tokensOf(tf, checkpoint, feeds);
    const hoisted = new HoistedKv(found, { [`${KV_INPUT}${adapterSuffix(adapter)}`]: kv });
    const whole = { index: 0, adapter, begin: 0, tokens: kv.dims[1]! };
    const weights = checkpointWeights([checkpoint], found.located);
    const numbers: Compared[] = [];
    for (const { attention, terms } of found.sites) {
      if (!terms.some(({ stream }) => stream.adapter === adapter)) continue;
      const { k, v } = await weights.of(0, attention);
      const [key, value] = hoisted.of(attention, whole);
      for (const [weight, part] of [
        [k, key],
        [v, value],
      ] as const) {
        const expected = tf.tidy(() =>
          linear(tf, tensorOf<Tensor3D>(tf, tokens), tensorOf<Tensor2D>(tf, weight)).dataSync(),
        );
        numbers.push(compared(part.data, expected as Float32Array));
      }
    }
    return numbers.reduce((most, each) => (each.relative > most.relative ? each : most));
  } finally {
    await Promise.all([session.release(), model.close()]);
  }
}

/** [B, n · T, C]: as they are fed, or projected from the embeddings that are. */
async function tokensOf(
  tf: TensorFlow,
  adapter: Adapter,
  feeds: Readonly<Record<string, Values>>,
): Promise<Values> {
  const { ip_hidden_states: given, image_embeds: image, id_embeds: face } = feeds;
  if (given !== undefined) return given;
  const { dims, data } = await projectedTokens(tf, adapter, { image: image!, face: face ?? null });
  const rows = image!.dims[0]!;
  return { dims: [rows, (dims[0]! / rows) * dims[1]!, dims[2]!], data };
}
