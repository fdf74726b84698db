import { IpgraftError } from '../../compiler/errors.js';
import { visible } from '../../compiler/printable.js';
import type { IpgraftServer, KserveService, TritonServer } from '../package/kserve/kserve-service.js';
import { type ScalingFlags, scalingOf } from './kserve-scaling.js';
import { wholeNumber } from './number-option.js';

/** The options of `package kserve` that say what the service is to be, as commander has them. */
export interface KserveFlags extends ScalingFlags {
  readonly name: string;
  readonly namespace?: string;
  readonly storageUri: string;
  readonly runtime: 'triton' | 'ipgraft';
  readonly protocol: KserveService['protocol'];
  readonly runtimeVersion?: string;
  readonly image?: string;
  readonly pullSecret?: readonly string[];
  readonly tokenSecret?: string;
  readonly insecure?: true;
  readonly workers?: string;
  readonly cpu: string;
  readonly memory?: string;
  readonly gpu: string;
  readonly timeout?: string;
  readonly serviceAccount?: string;
}

/** A label of DNS, and such labels joined by dots: what Kubernetes takes for names. */
const LABEL = '[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?';
const SUBDOMAIN = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`);
/** KServe's rule, and so short that `NAME-predictor-00001`, a revision of Knative's, is a label. */
const NAME = /^[a-z](?:[-a-z0-9]{0,45}[a-z0-9])?$/;
const TAG = /^\w[\w.-]{0,127}$/;
/** As the OCI distribution specification writes references. */
const IMAGE =
  /^(?=.{1,500}$)(?:[a-zA-Z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*(?::\w[\w.-]{0,127})?(?:@sha256:[a-f0-9]{64})?$/;
/** The schemes that KServe's storage initializer knows. */
const SCHEMES = [
  's3',
  'gs',
  'pvc',
  'https',
  'http',
  'hdfs',
  'webhdfs',
  'oci',
  'oci+native',
  'oci+fetch',
  'hf',
];
const CPU = /^(?:[1-9]\d{0,3}|[1-9]\d{0,6}m)$/;
const MEMORY = /^[1-9]\d{0,15}(?:[kMGT]|[KMGT]i)?$/;

/** Reads what the service is to be; `memory` is what the models need, where that is known. @throws IpgraftError `OPTION_INVALID` */
export function serviceOf(flags: KserveFlags, memory: string | undefined): KserveService {
  const { name, namespace, timeout, serviceAccount } = flags;
  const service: KserveService = {
    name: fitting('--name', name, NAME, 'at most 47 of a-z, 0-9 and -, the first a letter, the last no -'),
    ...(namespace !== undefined && { namespace: label('--namespace', namespace) }),
    storageUri: storageUri(flags.storageUri),
    server: serverOf(flags),
    protocol: flags.protocol,
    resources: {
      cpu: fitting('--cpu', flags.cpu, CPU, 'processors, such as 4 or 500m'),
      memory: memoryOf(flags.memory ?? memory),
      gpus: wholeNumber('--gpu', flags.gpu, 0, 64),
    },
    scaling: scalingOf(flags),
    ...(timeout !== undefined && { timeout: wholeNumber('--timeout', timeout, 1, 86_400) }),
    ...(serviceAccount !== undefined && { serviceAccount: subdomain('--service-account', serviceAccount) }),
  };
  return service;
}

/** How many processes hold each model, where its configuration does not say: Triton's ONNX Runtime backend starts two on a CPU. */
export function copiesOf({ runtime, workers, gpu }: KserveFlags): number {
  if (runtime === 'ipgraft') return wholeNumber('--workers', workers ?? '1', 1, 1024);
  return wholeNumber('--gpu', gpu, 0, 64) > 0 ? 1 : 2;
}

function serverOf(flags: KserveFlags): TritonServer | IpgraftServer {
  const { runtime, runtimeVersion, image, pullSecret = [], tokenSecret, insecure } = flags;
  if (runtime === 'triton') {
    refuseIdle('--runtime ipgraft', {
      '--image': image,
      '--pull-secret': flags.pullSecret,
      '--token-secret': tokenSecret,
      '--insecure': insecure,
      '--workers': flags.workers,
    });
    if (runtimeVersion === undefined) return { runtime };
    return {
      runtime,
      version: fitting('--runtime-version', runtimeVersion, TAG, 'the tag of an image, such as 26.04-py3'),
    };
  }
  refuseIdle('--runtime triton', { '--runtime-version': runtimeVersion });
  if (image === undefined)
    throw new IpgraftError(
      'OPTION_INVALID',
      '--runtime ipgraft: sought --image',
      {},
      {
        hint: 'Build an image with the Dockerfile of ipgraft, push it, and give its name: docs/packaging.md.',
      },
    );
  if ((tokenSecret === undefined) === (insecure === undefined))
    throw new IpgraftError(
      'OPTION_INVALID',
      `--runtime ipgraft: sought either --token-secret or --insecure, found ${insecure ? 'both' : 'neither'}`,
      {},
      {
        hint: 'Name the Secret that holds the token which requests must bring, or let in whoever reaches the service.',
      },
    );
  return {
    runtime,
    image: fitting('--image', image, IMAGE, 'an image, such as registry.example/ipgraft:0.1.0'),
    pullSecrets: pullSecret.map((secret) => subdomain('--pull-secret', secret)),
    token: tokenSecret === undefined ? null : secretKey(tokenSecret),
    workers: copiesOf(flags),
  };
}

/** Refuses options that mean nothing here: whoever gives them expects something of them. */
function refuseIdle(wanted: string, options: Readonly<Record<string, unknown>>): void {
  for (const [option, value] of Object.entries(options))
    if (value !== undefined) throw new IpgraftError('OPTION_INVALID', `${option} goes with ${wanted} alone`);
}

function storageUri(text: string): string {
  const [, scheme, rest] = /^([a-z][a-z0-9+]*):\/\/([\x21-\x7e]+)$/.exec(text) ?? [];
  if (scheme === undefined || rest === undefined || !SCHEMES.includes(scheme))
    throw new IpgraftError(
      'OPTION_INVALID',
      `--storage-uri ${visible(text)}: sought SCHEME://PLACE without spaces, where SCHEME is ${SCHEMES.join(', ')}`,
    );
  if (/^[^/]*@/.test(rest))
    throw new IpgraftError(
      'OPTION_INVALID',
      '--storage-uri: sought an address without credentials, found some',
      {},
      {
        hint: 'Credentials belong in a Secret: name the service account that has it with --service-account.',
      },
    );
  return text;
}

function memoryOf(text: string | undefined): string {
  if (text !== undefined) return fitting('--memory', text, MEMORY, 'bytes, such as 8Gi');
  throw new IpgraftError(
    'OPTION_INVALID',
    'sought --memory, or the model repository to compute it from',
    {},
    { hint: 'KServe gives a model server 2Gi where nothing is said, which a UNet does not fit in.' },
  );
}

function secretKey(text: string): { secret: string; key: string } {
  const [secret = '', key = 'token', ...more] = text.split('/');
  if (more.length === 0 && SUBDOMAIN.test(secret) && /^[-.\w]{1,253}$/.test(key)) return { secret, key };
  throw new IpgraftError(
    'OPTION_INVALID',
    `--token-secret ${visible(text)}: sought a Secret, or SECRET/KEY where the key is not \`token\``,
  );
}

function label(option: string, text: string): string {
  return fitting(option, text, new RegExp(`^${LABEL}$`), 'at most 63 of a-z, 0-9 and -, no - at either end');
}

function subdomain(option: string, text: string): string {
  return fitting(option, text, SUBDOMAIN, 'a name as Kubernetes has them: a-z, 0-9, - and .');
}

function fitting(option: string, text: string, pattern: RegExp, sought: string): string {
  if (pattern.test(text)) return text;
  throw new IpgraftError('OPTION_INVALID', `${option} ${visible(text)}: sought ${sought}`);
}
