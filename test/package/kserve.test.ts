import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parseAllDocuments } from 'yaml';
import { contentOf, ipgraft } from '../command.js';
import { closedFolder, fixturePath, freshFolder, modelPath } from '../fixtures.js';

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true });
const validators = {
  InferenceService: ajv.compile(
    JSON.parse(readFileSync(fixturePath('kserve', 'inference-service.schema.json'), 'utf8')),
  ),
  ServingRuntime: ajv.compile(
    JSON.parse(readFileSync(fixturePath('kserve', 'serving-runtime.schema.json'), 'utf8')),
  ),
};

// biome-ignore lint/suspicious/noExplicitAny: what the schemas describe is looked into field by field
type Loose = any;

const BASICS = ['--name', 'unet', '--storage-uri', 's3://bucket/models'];
const OURS = ['--runtime', 'ipgraft', '--image', 'registry.example:5000/team/ipgraft:0.1.0'];
const WITH_TOKEN = [...OURS, '--token-secret', 'unet-token'];

/** What `package kserve` prints. */
async function printed(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await ipgraft('package', 'kserve', ...BASICS, ...args, '-o', '-');
  assert.deepEqual([code, stderr], [0, '']);
  return stdout;
}

function parsed(text: string, version: '1.1' | '1.2' = '1.2'): Loose[] {
  return parseAllDocuments(text, { version }).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS();
  });
}

async function objects(...args: readonly string[]): Promise<Loose[]> {
  return parsed(await printed('--memory', '8Gi', ...args));
}

async function service(...args: readonly string[]): Promise<Loose> {
  return (await objects(...args)).at(-1);
}

/** What the published API has against an object. */
function faults(object: Loose): string[] {
  const validate = validators[object.kind as keyof typeof validators];
  validate(object);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

/** Each set of options, one way to say it after the other. */
const SERVERS = [
  [],
  ['--runtime-version', '26.04-py3'],
  ['--protocol', 'grpc-v2'],
  WITH_TOKEN,
  [...WITH_TOKEN, '--protocol', 'grpc-v2'],
  [...OURS, '--insecure', '--workers', '3', '--pull-secret', 'regcred', '--pull-secret', 'other'],
];
const SCALINGS = [
  [],
  ['--min-replicas', '2', '--max-replicas', '5', '--scale-metric', 'cpu', '--scale-target', '70'],
  ['--max-replicas', '5', '--scale-metric', 'memory', '--scale-target', '80'],
  ['--min-replicas', '0', '--max-replicas', '3', '--scale-metric', 'concurrency', '--scale-target', '1'],
  ['--scale-metric', 'rps', '--scale-target', '20', '--concurrency', '2'],
  ['--canary', '10'],
  ['--mode', 'Knative'],
  ['--mode', 'Standard', '--min-replicas', '3'],
];
const PLACES = [
  [],
  [
    '--namespace',
    'pictures',
    '--service-account',
    'bucket-reader',
    '--timeout',
    '120',
    '--gpu',
    '2',
    '--cpu',
    '3500m',
  ],
];

describe('ipgraft package kserve', () => {
  for (const server of SERVERS)
    for (const scaling of SCALINGS)
      for (const place of PLACES) {
        const args = [...server, ...scaling, ...place];
        it(`is what KServe's API has: ${args.join(' ') || 'no option'}`, async () => {
          const found = await objects(...args);
          assert.deepEqual(
            found.map(({ kind }) => kind),
            server.includes('ipgraft') ? ['ServingRuntime', 'InferenceService'] : ['InferenceService'],
          );
          for (const object of found) assert.deepEqual(faults(object), []);
        });
      }

  it('says what was asked for, in the fields that KServe reads', async () => {
    const { metadata, spec } = await service(...SERVERS[1]!, ...SCALINGS[1]!, ...PLACES[1]!);
    assert.deepEqual(metadata, {
      name: 'unet',
      namespace: 'pictures',
      annotations: {
        'serving.kserve.io/deploymentMode': 'Standard',
        'serving.kserve.io/autoscalerClass': 'hpa',
      },
    });
    const amounts = { cpu: '3500m', memory: '8Gi', 'nvidia.com/gpu': '2' };
    assert.deepEqual(spec, {
      predictor: {
        minReplicas: 2,
        maxReplicas: 5,
        scaleMetric: 'cpu',
        scaleTarget: 70,
        timeout: 120,
        serviceAccountName: 'bucket-reader',
        terminationGracePeriodSeconds: 60,
        model: {
          modelFormat: { name: 'triton', version: '2' },
          protocolVersion: 'v2',
          runtime: 'kserve-tritonserver',
          runtimeVersion: '26.04-py3',
          storageUri: 's3://bucket/models',
          resources: { requests: amounts, limits: amounts },
        },
      },
    });
  });

  it('takes the mode that the options need, and leaves out there what Knative refuses', async () => {
    for (const args of SCALINGS.slice(3, 7)) {
      const { metadata, spec } = await service(...args);
      assert.deepEqual(metadata.annotations, { 'serving.kserve.io/deploymentMode': 'Knative' });
      assert.equal(spec.predictor.terminationGracePeriodSeconds, undefined);
    }
    const { spec } = await service('--canary', '10', '--concurrency', '2');
    assert.deepEqual([spec.predictor.canaryTrafficPercent, spec.predictor.containerConcurrency], [10, 2]);
  });

  it('names its own runtime, and gives the server the token from the Secret', async () => {
    const [runtime, { spec }] = await objects(...OURS, '--token-secret', 'unet-token/bearer');
    const { model } = spec.predictor;
    assert.equal(model.runtime, runtime.metadata.name);
    assert.ok(
      runtime.spec.supportedModelFormats.some(({ name }: Loose) => name === model.modelFormat.name),
      'the runtime supports the format',
    );
    assert.ok(runtime.spec.protocolVersions.includes(model.protocolVersion));
    assert.deepEqual(model.env, [
      { name: 'IPGRAFT_TOKEN', valueFrom: { secretKeyRef: { name: 'unet-token', key: 'bearer' } } },
    ]);
    assert.equal(runtime.spec.annotations, undefined, 'metrics need the token too');
  });

  it('gives `ipgraft serve` arguments that its parser takes, and a way to say who is let in', async () => {
    const started = async ([runtime, { spec }]: Loose[], token: string | undefined) => {
      const [container] = runtime.spec.containers;
      // KServe appends the arguments of the service to those of its runtime.
      const args: string[] = [...container.args, ...spec.predictor.model.args];
      assert.equal(args[args.indexOf('--port') + 1], String(container.ports[0].containerPort));
      for (const probe of [container.startupProbe, container.livenessProbe, container.readinessProbe])
        assert.equal(probe.httpGet.port, container.ports[0].containerPort);
      const before = process.env.IPGRAFT_TOKEN;
      if (token !== undefined) process.env.IPGRAFT_TOKEN = token;
      try {
        // An empty repository is refused when every option has been understood.
        return (await ipgraft(...args.map((arg) => (arg === '/mnt/models' ? freshFolder() : arg)))).stderr;
      } finally {
        delete process.env.IPGRAFT_TOKEN;
        if (before !== undefined) process.env.IPGRAFT_TOKEN = before;
      }
    };
    const more = ['--workers', '2', '--cpu', '7', '--gpu', '1', '--timeout', '120'];
    const withToken = await objects(...WITH_TOKEN, ...more);
    assert.deepEqual(
      withToken[1].spec.predictor.model.args,
      '--workers 2 --threads 3 --provider cuda --timeout 120000'.split(' '),
    );
    assert.match(await started(withToken, 'secret'), /^SERVER_REPOSITORY/);
    assert.match(await started(withToken, undefined), /^OPTION_INVALID: .*sought --token/);
    assert.match(
      await started(await objects(...OURS, '--insecure', '--cpu', '500m'), undefined),
      /^SERVER_REPOSITORY/,
    );
  });

  it('leads gRPC to the port where the server speaks it', async () => {
    const port = { name: 'h2c', containerPort: 9000, protocol: 'TCP' };
    const triton = await service('--protocol', 'grpc-v2');
    assert.deepEqual(triton.spec.predictor.model.ports, [port]);
    assert.equal(triton.spec.predictor.model.protocolVersion, 'grpc-v2');
    const [{ spec }, isvc] = await objects(...WITH_TOKEN, '--protocol', 'grpc-v2');
    assert.equal(isvc.spec.predictor.model.protocolVersion, 'grpc-v2');
    assert.deepEqual(spec.protocolVersions, ['grpc-v2']);
    const [{ args, ports, readinessProbe }] = spec.containers;
    assert.deepEqual(ports, [port]);
    assert.deepEqual(args.slice(-2), ['--grpc-port', '9000']);
    // Health is asked over HTTP all the same.
    assert.deepEqual(readinessProbe.httpGet, { path: '/v2/health/ready', port: 8080 });
  });

  it('keeps texts as texts for readers of YAML 1.1 and 1.2', async () => {
    const awkward = [
      '--name',
      'no',
      '--namespace',
      '1e3',
      '--storage-uri',
      'pvc://on/0o7',
      '--memory',
      '12e',
      '-o',
      '-',
    ];
    assert.equal((await ipgraft('package', 'kserve', ...awkward)).code, 9, '12e is no amount');
    const text = await printed(
      '--name',
      'no',
      '--namespace',
      '1e3',
      '--memory',
      '1000',
      '--service-account',
      'yes',
    );
    for (const version of ['1.1', '1.2'] as const) {
      const [{ metadata, spec }] = parsed(text, version);
      assert.deepEqual(
        [metadata.name, metadata.namespace, spec.predictor.serviceAccountName],
        ['no', '1e3', 'yes'],
      );
      assert.equal(spec.predictor.model.resources.limits.memory, '1000');
    }
  });

  it('reads the same in Python, whose YAML is 1.1, where that is installed', async function () {
    const python = spawnSync('python3', ['-c', 'import yaml'], { encoding: 'utf8' });
    if (python.status !== 0) return this.skip();
    const text = await printed('--name', 'no', '--memory', '8Gi', ...WITH_TOKEN);
    const script = 'import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))';
    const { stdout } = spawnSync('python3', ['-c', script], { encoding: 'utf8', input: text });
    assert.deepEqual(JSON.parse(stdout), parsed(text));
  });

  it('a wrong field, a field that is missing and a wrong type are refused by the schema', async () => {
    const [runtime, isvc] = await objects(...WITH_TOKEN, '--scale-metric', 'cpu', '--max-replicas', '2');
    const spoilt = (object: Loose, change: (copy: Loose) => void) => {
      const copy = structuredClone(object);
      change(copy);
      return faults(copy);
    };
    const changes: [Loose, (copy: Loose) => void, RegExp][] = [
      [isvc, ({ spec }) => (spec.predictor.minReplica = 1), /predictor must NOT have additional/],
      [isvc, ({ spec }) => (spec.predictor.maxReplicas = '2'), /maxReplicas must be integer/],
      [isvc, ({ spec }) => delete spec.predictor.model.modelFormat, /model must have required.*modelFormat/],
      [isvc, ({ spec }) => (spec.predictor.model.storageURI = 's3://x'), /model must NOT have additional/],
      [isvc, ({ spec }) => delete spec.predictor, /predictor/],
      [isvc, ({ spec }) => (spec.predictor.model.env[0].valueFrom.secretKeyRef.key = undefined), /key/],
      [isvc, (copy) => (copy.apiVersion = 'serving.kserve.io/v1'), /apiVersion/],
      [runtime, ({ spec }) => (spec.containers[0].livenessProbe.httpGet.ports = 1), /httpGet must NOT/],
      [runtime, ({ spec }) => delete spec.containers[0].name, /name/],
      [runtime, ({ spec }) => (spec.terminationGracePeriodSeconds = 60), /spec must NOT have additional/],
      [
        runtime,
        ({ spec }) => (spec.containers[0].ports[0].containerPort = '8080'),
        /containerPort must be int/,
      ],
    ];
    for (const [object, change, fault] of changes) assert.match(spoilt(object, change).join('\n'), fault);
  });

  describe('the memory of a replica', () => {
    const repository = () => {
      const folder = freshFolder();
      const model = join(folder, 'unet', '1', 'model.onnx');
      mkdirSync(dirname(model), { recursive: true });
      const source = modelPath('sd15-sdpa-ts17-external');
      copyFileSync(source, model);
      copyFileSync(`${source}_data`, join(dirname(model), 'sd15-sdpa-ts17-external.onnx_data'));
      return { folder, bytes: statSync(source).size + statSync(`${source}_data`).size };
    };
    const memory = async (folder: string, ...args: readonly string[]) => {
      const [object] = parsed(await printed(folder, ...args)).slice(-1);
      const { requests, limits } = object.spec.predictor.model.resources;
      assert.equal(requests.memory, limits.memory);
      return Number(/^(\d+)Mi$/.exec(limits.memory)![1]);
    };

    it('counts a model’s files, external data too, for each process that holds them', async () => {
      const { folder } = repository();
      const one = await memory(folder, ...WITH_TOKEN);
      const three = await memory(folder, ...WITH_TOKEN, '--workers', '3');
      const two = await memory(folder, ...WITH_TOKEN, '--workers', '2');
      assert.equal(three - two, two - one);
      // Triton starts two instances on a CPU, and one for each GPU.
      assert.equal(await memory(folder), two);
      assert.equal(await memory(folder, '--gpu', '1'), one);
    });

    it('grows with the files, reads config.pbtxt, and gives ensembles nothing', async () => {
      const { folder } = repository();
      const small = await memory(folder, ...WITH_TOKEN);
      mkdirSync(join(folder, 'both'));
      writeFileSync(
        join(folder, 'both', 'config.pbtxt'),
        'platform: "ensemble" ensemble_scheduling { step [ { model_name: "unet" model_version: -1 } ] }',
      );
      assert.equal(await memory(folder, ...WITH_TOKEN), small);
      writeFileSync(join(folder, 'unet', 'config.pbtxt'), 'instance_group [ { count: 2 } ]');
      assert.equal(await memory(folder, ...WITH_TOKEN), await memory(folder));
      assert.ok((await memory(folder, ...WITH_TOKEN)) > small);
    });

    it('is more for 16-bit weights, which a CPU holds as 32-bit ones too', async () => {
      const size = (name: string) => statSync(modelPath(name)).size;
      const of = async (name: string) => {
        const folder = freshFolder();
        mkdirSync(join(folder, 'unet', '1'), { recursive: true });
        copyFileSync(modelPath(name), join(folder, 'unet', '1', 'model.onnx'));
        return await memory(folder, ...WITH_TOKEN, '--workers', '1000');
      };
      const [single, half] = ['sd15-sdpa-ts17', 'sd15-sdpa-ts17-fp16'] as const;
      assert.ok(size(half) < size(single));
      assert.ok((await of(half)) > (await of(single)));
    });

    it('is what --memory says, where that is given too', async () => {
      const { folder, bytes } = repository();
      const out = join(freshFolder(), 'isvc.yaml');
      const args = ['package', 'kserve', folder, ...BASICS, '--memory', '7Gi', '-o', out, '--json'];
      const { code, stdout } = await ipgraft(...args);
      assert.equal(code, 0);
      const { memory, models } = JSON.parse(stdout);
      assert.deepEqual([memory, models], ['7Gi', [{ name: 'unet', bytes, copies: 2 }]]);
    });
  });

  describe('refuses', () => {
    const refusals: readonly (readonly [args: readonly string[], words: RegExp])[] = [
      [['--name', 'Unet'], /--name Unet: sought/],
      [['--name', 'a'.repeat(48)], /at most 47/],
      [['--name', 'unet-'], /--name/],
      [['--namespace', 'a.b'], /--namespace a\.b/],
      [['--storage-uri', '/models'], /SCHEME is s3, gs, pvc/],
      [['--storage-uri', 'ftp://models'], /SCHEME/],
      [['--storage-uri', 's3://a b'], /without spaces/],
      [['--storage-uri', 'https://me:secret@example.org/m.zip'], /without credentials, found some/],
      [['--cpu', '0'], /--cpu 0: sought processors/],
      [['--cpu', '1.5.2'], /--cpu/],
      [['--memory', 'much'], /--memory much: sought bytes/],
      [['--gpu', '-1'], /--gpu -1: sought a whole number/],
      [['--timeout', '0'], /--timeout 0/],
      [['--runtime', 'torchserve'], /torchserve/],
      [['--runtime-version', 'a b'], /--runtime-version a b/],
      [OURS, /either --token-secret or --insecure, found neither/],
      [[...WITH_TOKEN, '--insecure'], /found both/],
      [['--runtime', 'ipgraft', '--insecure'], /sought --image/],
      [['--runtime', 'ipgraft', '--insecure', '--image', 'No Image'], /--image No Image/],
      [[...OURS, '--token-secret', 'a/b/c'], /--token-secret a\/b\/c: sought a Secret/],
      [[...WITH_TOKEN, '--runtime-version', '1'], /--runtime-version goes with --runtime triton/],
      [[...WITH_TOKEN, '--workers', '0'], /--workers 0/],
      [['--image', 'a/b'], /--image goes with --runtime ipgraft/],
      [['--token-secret', 'a'], /--token-secret goes with --runtime ipgraft/],
      [['--workers', '2'], /--workers goes with --runtime ipgraft/],
      [['--min-replicas', '3', '--max-replicas', '2'], /--max-replicas 2: sought 3 or more/],
      [['--scale-metric', 'cpu'], /sought --max-replicas/],
      [['--scale-metric', 'latency'], /latency/],
      [['--scale-metric', 'cpu', '--max-replicas', '2', '--scale-target', '150'], /from 1 to 100/],
      [['--scale-metric', 'memory', '--max-replicas', '2'], /sought --scale-target/],
      [['--scale-target', '2'], /sought --scale-metric/],
      [
        ['--scale-metric', 'cpu', '--canary', '10'],
        /--scale-metric cpu is for KServe's mode Standard, --canary/,
      ],
      [['--mode', 'Standard', '--min-replicas', '0'], /--min-replicas 0 is for KServe's mode Knative/],
      [['--mode', 'Standard', '--concurrency', '1'], /--concurrency is for/],
      [['--canary', '101'], /from 0 to 100/],
      [['--concurrency', '0'], /--concurrency 0/],
    ];
    for (const [args, words] of refusals)
      it(args.join(' '), async () => {
        const folder = freshFolder();
        const { code, stderr, stdout } = await ipgraft(
          ...['package', 'kserve', ...BASICS, '--memory', '8Gi', ...args, '-o', join(folder, 'isvc.yaml')],
        );
        assert.deepEqual([code, stdout], [9, '']);
        assert.match(stderr, /^OPTION_INVALID: .*\n {2}hint: .+/);
        assert.match(stderr, words);
        assert.deepEqual(contentOf(folder), {});
      });

    it('no memory, a folder that is no repository, and a model that cannot be read', async () => {
      const out = join(freshFolder(), 'isvc.yaml');
      const none = await ipgraft('package', 'kserve', ...BASICS, '-o', out);
      assert.equal(none.code, 9);
      assert.match(none.stderr, /sought --memory, or the model repository/);
      const empty = await ipgraft('package', 'kserve', freshFolder(), ...BASICS, '-o', out);
      assert.match(empty.stderr, /^SERVER_REPOSITORY: .*sought MODEL\/VERSION\/model\.onnx/);
      const folder = freshFolder();
      mkdirSync(join(folder, 'unet', '1'), { recursive: true });
      writeFileSync(join(folder, 'unet', '1', 'model.onnx'), 'no model');
      const broken = await ipgraft('package', 'kserve', folder, ...BASICS, '-o', out);
      assert.match(broken.stderr, /^(WIRE|MODEL)_/);
    });

    it('a file that exists, but for --force, and a folder that cannot be written to', async () => {
      const folder = freshFolder();
      const out = join(folder, 'isvc.yaml');
      const args = ['package', 'kserve', ...BASICS, '--memory', '8Gi', '-o', out];
      writeFileSync(out, 'mine');
      const exists = await ipgraft(...args);
      assert.match(exists.stderr, /^OUTPUT_EXISTS: .*isvc\.yaml/);
      assert.equal(readFileSync(out, 'utf8'), 'mine');
      assert.equal((await ipgraft(...args, '--force')).code, 0);
      assert.deepEqual(faults(parsed(readFileSync(out, 'utf8'))[0]), []);
      const file = await ipgraft(...args.slice(0, -1), join(out, 'isvc.yaml'));
      assert.match(file.stderr, /^OUTPUT_FAILED: .*isvc\.yaml/);
      const closed = await ipgraft(...args.slice(0, -1), join(closedFolder(), 'other.yaml'));
      assert.match(closed.stderr, /^OUTPUT_FAILED: .*other\.yaml/);
    });
  });
});
