import assert from 'node:assert/strict';
import { ask, stopServers } from './http-server.js';
import {
  direct,
  encoderModel,
  hoisted,
  IMAGE,
  input,
  projection,
  repositoryOf,
  serveFolder,
  WIDTH,
} from './image-models.js';
import { identityModel, value, writeSmallModel } from './small-models.js';

const explicit = { modelControl: 'explicit', adminToken: 'a', token: 't' } as const;

async function statsOf(url: string, model: string) {
  const { json } = await ask(`${url}/v2/models/${model}/stats`);
  return json.model_stats[0];
}

describe('answers that are kept', () => {
  afterEach(stopServers);

  it('image encoders, projections and keys and values: bit for bit those of onnxruntime-node, and one run each', async () => {
    const encoder = encoderModel();
    const tokens = await projection('base');
    const { kv } = await hoisted('base');
    const { url, log } = await serveFolder(repositoryOf({ encoder, tokens, kv }), { cache: 2 ** 20 });
    for (const [model, file, given, output] of [
      ['encoder', encoder, input('pixel_values', [2, ...IMAGE]), 'image_embeds'],
      ['tokens', tokens, input('image_embeds', [2, WIDTH]), 'ip_hidden_states'],
      ['kv', kv, input('ip_hidden_states', [2, 4, 24]), 'ip_kv'],
    ] as const) {
      const expected = await direct(file, given, output);
      for (let i = 0; i < 3; i++) {
        const { status, json } = await ask(`${url}/v2/models/${model}/infer`, { body: { inputs: [given] } });
        assert.equal(status, 200);
        const { datatype: _, ...found } = json.outputs[0];
        assert.deepEqual(found, expected);
      }
      const stats = await statsOf(url, model);
      const {
        success,
        queue,
        cache_hit: hit,
        cache_miss: miss,
        compute_infer: infer,
      } = stats.inference_stats;
      assert.deepEqual(
        [success, queue, hit, miss, infer].map(({ count }) => count),
        [3, 3, 2, 1, 1],
      );
      assert.ok(hit.ns > 0 && miss.ns > 0 && success.ns > hit.ns);
      assert.deepEqual([stats.inference_count, stats.execution_count], [1, 1]);
      assert.equal(stats.batch_stats[0].compute_infer.count, 1);
    }
    const text = String((await ask(`${url}/metrics`)).bytes);
    for (const line of [
      'nv_cache_num_hits_per_model{model="tokens",version="1"} 2',
      'nv_cache_num_misses_per_model{model="tokens",version="1"} 1',
      'nv_inference_request_success{model="tokens",version="1"} 3',
      'nv_inference_count{model="tokens",version="1"} 1',
      'nv_inference_exec_count{model="tokens",version="1"} 1',
      'ipgraft_cache_entries 3',
      'ipgraft_cache_limit_bytes 1048576',
    ])
      assert.ok(text.includes(`${line}\n`), line);
    assert.match(text, /^nv_cache_hit_duration_per_model\{model="kv",version="1"\} \d+$/m);
    assert.match(text, /^nv_cache_miss_duration_per_model\{model="kv",version="1"\} \d+$/m);
    assert.ok(Number(/^ipgraft_cache_bytes (\d+)$/m.exec(text)![1]) > 3 * 1024);
    assert.deepEqual(
      log.filter(({ level }) => (level as number) > 30),
      [],
    );
  });

  it('other models are kept where their configuration says so, and none where it says no', async () => {
    const file = identityModel(['x', 'float', ['n']]);
    const on = 'response_cache { enable: true }';
    const off = 'response_cache { enable: false }';
    const { url } = await serveFolder(
      repositoryOf({
        plain: file,
        kept: { file, config: on },
        tokens: { file: await projection('base'), config: off },
      }),
    );
    const expected = { plain: [0, 0], kept: [1, 1], tokens: [0, 0] };
    for (const [model, counts] of Object.entries(expected)) {
      const inputs = [model === 'tokens' ? input('image_embeds', [1, WIDTH]) : input('x', [4])];
      for (let i = 0; i < 2; i++)
        assert.equal((await ask(`${url}/v2/models/${model}/infer`, { body: { inputs } })).status, 200);
      const { cache_hit: hit, cache_miss: miss } = (await statsOf(url, model)).inference_stats;
      assert.deepEqual([hit.count, miss.count], counts, model);
    }
  });

  it('a projection is told by what wrote it, not by its interface; a cache of 0 keeps nothing', async () => {
    const alike = writeSmallModel({
      node: [{ opType: 'Identity', input: ['image_embeds'], output: ['ip_hidden_states'] }],
      input: [value(['image_embeds', 'float', ['b', 3, WIDTH]])],
      output: [value(['ip_hidden_states', 'float', ['b', 3, WIDTH]])],
    });
    const tokens = await projection('plus');
    for (const [file, cache] of [
      [alike, 2 ** 20],
      [tokens, 0],
    ] as const) {
      const { url } = await serveFolder(repositoryOf({ m: file }), { cache });
      const body = { inputs: [input('image_embeds', [1, 3, WIDTH])] };
      for (let i = 0; i < 2; i++) assert.equal((await ask(`${url}/v2/models/m/infer`, { body })).status, 200);
      assert.equal((await statsOf(url, 'm')).execution_count, 2);
      assert.equal(/ipgraft_cache/.test(String((await ask(`${url}/metrics`)).bytes)), cache > 0);
    }
  });

  it('loading again and unloading drop what was kept', async () => {
    const { url } = await serveFolder(repositoryOf({ tokens: await projection('base') }), explicit);
    const headers = { authorization: 'Bearer a' };
    const post = (path: string, body: unknown = {}) => ask(`${url}/v2/${path}`, { body, headers });
    const entries = async () =>
      Number(
        /^ipgraft_cache_entries (\d+)$/m.exec(String((await ask(`${url}/metrics`, { headers })).bytes))![1],
      );
    const infer = () => post('models/tokens/infer', { inputs: [input('image_embeds', [1, WIDTH])] });
    await post('repository/models/tokens/load');
    const first = await infer();
    assert.equal(await entries(), 1);
    await post('repository/models/tokens/load');
    assert.equal(await entries(), 0);
    const second = await infer();
    assert.deepEqual(second.json.outputs, first.json.outputs);
    assert.equal(await entries(), 1);
    await post('repository/models/tokens/unload');
    assert.equal(await entries(), 0);
  });
});
