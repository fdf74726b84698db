import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { freshFolder, modelPath } from '../fixtures.js';
import { until, workersOf } from '../serve/processes.js';
import { identityModel } from '../serve/small-models.js';
import { pythonEnvironment } from './python.js';

const TOKEN = 'a-token';
const INSTRUCTIONS = readFileSync('Dockerfile', 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [, word, rest] = /^([A-Z]+) (.+)$/.exec(line)!;
    return [word!, rest!] as const;
  });

/** What the last instruction of a kind says, as the words that it starts. */
function words(instruction: string): string[] {
  const [, rest] = INSTRUCTIONS.findLast(([word]) => word === instruction)!;
  return JSON.parse(rest.slice(rest.indexOf('[')));
}

/** A started image. */
interface Container {
  readonly url: string;
  /** Exit code of the health check. */
  health(): Promise<number | null>;
  /** Process 1 of the container, as it is called outside; 0 while there is none, or where a daemon keeps it. */
  first(): number;
  /** Sends SIGTERM, and answers with the exit code. */
  end(): Promise<number | null>;
}

function run(command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${error?.message ?? ''} ${stderr}`.slice(-2000));
  return stdout.trim();
}

function runs(command: string, ...args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

/** A model repository that user 1000 may read. */
function repository(model: string): string {
  const folder = freshFolder();
  const path = join(folder, 'model', '1', 'model.onnx');
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(model, path);
  for (const each of [dirname(folder), folder]) chmodSync(each, 0o755);
  return folder;
}

/** Builds the image by a Docker daemon, and starts it with nothing writable and no capability. */
function withDocker(): (models: string) => Promise<Container> {
  const image = 'ipgraft-test';
  run('docker', 'build', '--quiet', '--tag', image, '.');
  return async (models) => {
    const id = run(
      'docker',
      ...['run', '--detach', '--read-only', '--user', '1000:1000', '--cap-drop', 'ALL'],
      ...[
        '--env',
        `IPGRAFT_TOKEN=${TOKEN}`,
        '--publish',
        '127.0.0.1::8080',
        '--volume',
        `${models}:/models:ro`,
      ],
      image,
    );
    return {
      url: `http://${run('docker', 'port', id, '8080').split('\n')[0]}`,
      async health() {
        return spawnSync('docker', ['exec', id, ...words('HEALTHCHECK')]).status;
      },
      first: () => 0,
      async end() {
        run('docker', 'stop', '--time', '60', id);
        const code = Number(run('docker', 'inspect', '--format', '{{.State.ExitCode}}', id));
        run('docker', 'rm', id);
        return code;
      },
    };
  };
}

/** The files that go to the daemon: what .dockerignore lets through, which is a list of exceptions. */
function buildContext(): string {
  const context = freshFolder();
  const [all, ...exceptions] = readFileSync('.dockerignore', 'utf8')
    .split('\n')
    .filter((line) => /^[^#]/.test(line));
  assert.equal(all, '*');
  for (const line of exceptions) cpSync(line.slice(1), join(context, line.slice(1)), { recursive: true });
  return context;
}

/** A file or folder, or all files whose names begin so where `*` is the last character. */
function matching(path: string): string[] {
  if (!path.endsWith('*')) return [path];
  const names = readdirSync(dirname(path)).filter((name) => name.startsWith(basename(path).slice(0, -1)));
  assert.ok(names.length > 0, path);
  return names.map((name) => join(dirname(path), name));
}

/** Does what each instruction says, in a folder for each stage; answers with that of the last. */
function stagesByHand(): string {
  const context = buildContext();
  const stages = new Map<string, string>();
  let root = '';
  for (const [word, rest] of INSTRUCTIONS) {
    const inStage = (path: string) => join(path.startsWith('/') ? root : join(root, 'app'), path);
    if (word === 'FROM') {
      root = freshFolder();
      chmodSync(root, 0o755);
      stages.set(/ AS (\w+)$/.exec(rest)?.[1] ?? 'last', root);
    } else if (word === 'WORKDIR') {
      assert.equal(rest, '/app');
      mkdirSync(inStage(rest), { recursive: true });
    } else if (word === 'COPY') {
      const [, stage, paths] = /^(?:--from=(\w+) )?(.+)$/.exec(rest)!;
      const sources = paths!.split(' ');
      const to = inStage(sources.pop()!);
      const from = stage === undefined ? context : stages.get(stage)!;
      for (const source of sources.flatMap((each) => matching(join(from, each)))) {
        const isFolder = statSync(source).isDirectory();
        cpSync(source, isFolder ? to : join(to, basename(source)), {
          recursive: true,
          verbatimSymlinks: true,
        });
      }
    } else if (word === 'RUN') {
      const { status, stderr, stdout } = spawnSync('sh', ['-c', rest], {
        cwd: join(root, 'app'),
        encoding: 'utf8',
      });
      assert.equal(status, 0, `${rest}: ${stdout.slice(-1000)} ${stderr.slice(-1000)}`);
    } else assert.match(word, /^(ENV|USER|EXPOSE|STOPSIGNAL|HEALTHCHECK|ENTRYPOINT|CMD)$/);
  }
  return root;
}

/** Makes every file system read-only but those of the kernel, and goes on as user 1000 without capabilities. */
const READ_ONLY = `set -e
mount --make-rprivate /
findmnt -rno TARGET | grep -v -E '^/(proc|sys|dev)(/|$)' | while read -r place; do mount -o remount,bind,ro "$place"; done
exec setpriv --reuid 1000 --regid 1000 --clear-groups --no-new-privs --inh-caps=-all "$@"`;
const ISOLATED = ['--mount', '--pid', '--fork', '--mount-proc'];

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Builds by hand, and starts what the image would: as process 1 and user 1000, with nothing writable. */
function byHand(): (models: string) => Promise<Container> {
  const root = stagesByHand();
  return async (models) => {
    const port = String(await freePort());
    const place = (word: string) =>
      word
        .replace(/^\/app/, join(root, 'app'))
        .replace(/^\/models$/, models)
        .replace(/\b8080\b/, port);
    const command = [...words('ENTRYPOINT'), ...words('CMD')].map(place);
    const child = spawn('unshare', [...ISOLATED, 'sh', '-c', READ_ONLY, 'sh', ...command], {
      cwd: join(root, 'app'),
      env: { PATH: process.env.PATH, NODE_ENV: 'production', IPGRAFT_TOKEN: TOKEN },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const ended = once(child, 'exit').then(([code]) => code as number | null);
    const first = () => Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim());
    return {
      first,
      url: `http://127.0.0.1:${port}`,
      async health() {
        const [program, ...args] = words('HEALTHCHECK').map(place);
        return spawnSync(program!, args).status;
      },
      end() {
        process.kill(first(), 'SIGTERM');
        return ended;
      },
    };
  };
}

const hasDaemon = runs('docker', 'info');
const mayIsolate = runs('unshare', ...ISOLATED, 'sh', '-c', READ_ONLY, 'sh', 'true');

describe('the container', () => {
  it('hadolint finds nothing in the Dockerfile', function () {
    const environment = pythonEnvironment('hadolint', 'test/slow/requirements-hadolint.txt');
    if ('missing' in environment) return this.skip();
    run(join(dirname(environment.python), 'hadolint'), 'Dockerfile');
  });

  it('is for nobody who is root, and starts node itself, so that signals reach it', () => {
    assert.deepEqual(INSTRUCTIONS.findLast(([word]) => word === 'USER')?.[1], '1000:1000');
    assert.equal(words('ENTRYPOINT')[0], 'node');
    const port = words('CMD')[words('CMD').indexOf('--port') + 1];
    assert.match(words('HEALTHCHECK').join(' '), new RegExp(`127\\.0\\.0\\.1:${port}/v2/health/ready`));
  });

  describe(hasDaemon ? 'built by Docker' : 'built by hand, as the Dockerfile says', () => {
    let start: (models: string) => Promise<Container>;
    before(function () {
      if (!hasDaemon && !mayIsolate) return this.skip();
      start = hasDaemon ? withDocker() : byHand();
    });

    it('is healthy and answers on a read-only root, and ends with 0 at SIGTERM', async () => {
      const { url, health, end } = await start(repository(identityModel(['x', 'float', [1, 3]])));
      let code: number | null = 1;
      for (let i = 0; i < 120 && code !== 0; i++) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        code = await health();
      }
      assert.equal(code, 0, 'health');
      const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 3], data: [1, -2, 0.5] }];
      const infer = (headers: Record<string, string>) =>
        fetch(`${url}/v2/models/model/infer`, { method: 'POST', headers, body: JSON.stringify({ inputs }) });
      assert.equal((await infer({})).status, 401);
      const answer = await infer({ authorization: `Bearer ${TOKEN}` });
      assert.equal(answer.status, 200, await answer.clone().text());
      assert.deepEqual((await answer.json()).outputs[0].data, [1, -2, 0.5]);
      assert.equal(await end(), 0);
    });

    it('ends at SIGTERM while it loads models too, though it is process 1', async function () {
      if (hasDaemon) return this.skip();
      const { first, end } = await start(repository(modelPath('sdxl-sdpa-ts17')));
      await until(() => workersOf(first()).length > 0, 60_000);
      assert.equal(await end(), 143);
    });
  });
});
