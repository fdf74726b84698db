/** Runs others' clients against the command line's server: `npm run test:clients`. Needs Python, and installs them once. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { MAIN } from '../command.js';
import { fixturePath, freshFolder } from '../fixtures.js';
import { encoderModel, projection } from '../serve/image-models.js';
import { pipelinesFolder } from '../serve/picture-server.js';
import { countingModel, identityModel } from '../serve/small-models.js';
import { pythonEnvironment } from '../slow/python.js';
import { packagedFixtures, packagedRepository } from './packaged.js';

const TYPES = [
  'bool',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'float16',
  'float',
  'double',
  'string',
] as const;

/** `image` → the models `encoder` and `tokens` → `made`, as somebody would write it. */
const CHAIN = `
  platform: "ensemble"
  input { name: "image" data_type: TYPE_FP32 dims: [ -1, 3, 4, 4 ] }
  output { name: "made" data_type: TYPE_FP32 dims: [ -1, 4, 24 ] }
  ensemble_scheduling { step [
    { model_name: "encoder" model_version: -1
      input_map { key: "pixel_values" value: "image" } output_map { key: "image_embeds" value: "embeds" } },
    { model_name: "tokens" model_version: -1
      input_map { key: "image_embeds" value: "embeds" } output_map { key: "ip_hidden_states" value: "made" } }
  ] }`;

async function repository(): Promise<string> {
  const folder = freshFolder();
  const place = (name: string, model: string) => {
    const path = join(folder, name, '1', 'model.onnx');
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(model, path);
  };
  for (const type of TYPES) place(type, identityModel(['x', type, ['rows', 'columns']]));
  place('slow', countingModel());
  place('encoder', encoderModel());
  place('tokens', await projection('base'));
  mkdirSync(join(folder, 'chain'));
  writeFileSync(join(folder, 'chain', 'config.pbtxt'), CHAIN);
  return folder;
}

/** Pixels, and what ONNX Runtime itself makes of them by the encoder: two files of float32. */
async function numbers(): Promise<readonly [pixels: string, embeds: string]> {
  const folder = freshFolder();
  const pixels = Float32Array.from({ length: 2 * 3 * 4 * 4 }, (_, i) => Math.sin(i * 3));
  const session = await InferenceSession.create(encoderModel());
  const { image_embeds: embeds } = await session.run({
    pixel_values: new Tensor('float32', pixels, [2, 3, 4, 4]),
  });
  const write = (name: string, data: Float32Array) => {
    const path = join(folder, name);
    writeFileSync(path, data);
    return path;
  };
  return [write('pixels', pixels), write('embeds', embeds!.data as Float32Array)];
}

/** Where a server listens: its whole address, and host and port of each protocol. */
interface Listening {
  readonly url: string;
  readonly http: string;
  readonly grpc: string;
}

/** Runs scripts, one after the other, against the server of a folder; answers whether all ended well. */
async function drive(
  python: string,
  folder: string,
  tokens: readonly string[],
  scripts: (at: Listening) => readonly (readonly string[])[],
): Promise<boolean> {
  const admin = tokens.length > 1 ? ['--admin-token', tokens[1]!, '--model-control', 'explicit'] : [];
  const options = ['--port', '0', '--grpc-port', '0', '--json', '--token', tokens[0]!, ...admin];
  const server = spawn(process.execPath, [MAIN, 'serve', folder, ...options], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [line] = await once(createInterface(server.stdout!), 'line');
  const { url, grpcUrl } = JSON.parse(line as string) as { url: string; grpcUrl: string };
  const at = { url, http: new URL(url).host, grpc: new URL(grpcUrl).host };
  const held = scripts(at).every(
    (script) => spawnSync(python, script, { stdio: 'inherit', timeout: 300_000 }).status === 0,
  );
  const ended = once(server, 'exit');
  server.kill('SIGINT');
  const [code] = await ended;
  if (code !== 0) console.error(`the server ended with ${code}`);
  return held && code === 0;
}

const environment = pythonEnvironment('clients', 'test/clients/requirements.txt');
if ('missing' in environment) {
  console.error(`no clients: ${environment.missing}`);
  process.exitCode = 1;
} else {
  const { python } = environment;
  const files = await numbers();
  const configs = [
    'test/clients/triton_config.py',
    ...(await packagedFixtures()),
    await packagedRepository(),
  ];
  const results = [
    // The first of them loads the models.
    await drive(python, await repository(), ['t0', 't1'], ({ url, http, grpc }) => [
      ['test/clients/triton_http.py', http, 't0', 't1'],
      ['test/clients/triton_grpc.py', grpc, 't0', 't1', ...files],
      ['test/clients/kserve_clients.py', url, grpc, 't0', ...files],
    ]),
    await drive(python, await packagedRepository(), ['t0'], ({ http }) => [
      ['test/clients/triton_packaged.py', http, 't0'],
    ]),
    await drive(
      python,
      await pipelinesFolder({ fox: [['sd15-base'], { tokens: 'embeds', scale: 'input' }] }),
      ['t0'],
      ({ url }) => [
        ['test/clients/openai_images.py', url, 't0', fixturePath('pictures', 'images', 'one.png')],
      ],
    ),
    spawnSync(python, configs, { stdio: 'inherit' }).status === 0,
  ];
  process.exitCode = results.every(Boolean) ? 0 : 1;
}
