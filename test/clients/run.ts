/** Runs others' clients against the command line's server: `npm run test:clients`. Needs Python, and installs them once. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { MAIN } from '../command.js';
import { freshFolder } from '../fixtures.js';
import { encoderModel, projection } from '../serve/image-models.js';
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

/** Where a server that has been started listens. */
async function urlOf(server: ChildProcess): Promise<string> {
  const [line] = await once(createInterface(server.stdout!), 'line');
  return (JSON.parse(line as string) as { url: string }).url;
}

/** Runs a script against the server of a folder; answers whether both ended well. */
async function drive(
  python: string,
  folder: string,
  script: string,
  tokens: readonly string[],
): Promise<boolean> {
  const admin = tokens.length > 1 ? ['--admin-token', tokens[1]!, '--model-control', 'explicit'] : [];
  const options = ['--port', '0', '--json', '--token', tokens[0]!, ...admin];
  const server = spawn(process.execPath, [MAIN, 'serve', folder, ...options], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const url = new URL(await urlOf(server));
  const { status } = spawnSync(python, [script, url.host, ...tokens], { stdio: 'inherit', timeout: 300_000 });
  const ended = once(server, 'exit');
  server.kill('SIGINT');
  const [code] = await ended;
  if (code !== 0) console.error(`the server ended with ${code}`);
  return status === 0 && code === 0;
}

const environment = pythonEnvironment('clients', 'test/clients/requirements.txt');
if ('missing' in environment) {
  console.error(`no tritonclient: ${environment.missing}`);
  process.exitCode = 1;
} else {
  const { python } = environment;
  const configs = [
    'test/clients/triton_config.py',
    ...(await packagedFixtures()),
    await packagedRepository(),
  ];
  const results = [
    await drive(python, await repository(), 'test/clients/triton_http.py', ['t0', 't1']),
    await drive(python, await packagedRepository(), 'test/clients/triton_packaged.py', ['t0']),
    spawnSync(python, configs, { stdio: 'inherit' }).status === 0,
  ];
  process.exitCode = results.every(Boolean) ? 0 : 1;
}
