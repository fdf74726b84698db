import { basename } from 'node:path';
import { Command, Option } from 'commander';
import { writeFiles } from '../../compiler/io/write-files.js';
import { Rope } from '../../compiler/wire/rope.js';
import { METRICS, MODES, PROTOCOLS } from '../package/kserve/kserve-service.js';
import { manifestText } from '../package/kserve/manifest-text.js';
import { manifests } from '../package/kserve/manifests.js';
import { type MemoryNeed, memoryNeed } from '../package/kserve/memory-need.js';
import { copiesOf, type KserveFlags, serviceOf } from './kserve-flags.js';
import { row } from './print-report.js';
import { size } from './progress.js';
import { collect } from './repeated-option.js';
import type { Terminal } from './terminal.js';

interface PackageKserveFlags extends KserveFlags {
  readonly output: string;
  readonly force?: true;
  readonly json?: true;
}

/** What `ipgraft package kserve --json` prints. */
export interface PackageKserveReport {
  /** The YAML file that was written, without folder. */
  readonly file: string;
  /** What is in it, in this order. */
  readonly objects: readonly {
    /** Of the Kubernetes API. */
    readonly kind: 'InferenceService' | 'ServingRuntime';
    /** By which the cluster knows it. */
    readonly name: string;
  }[];
  /** Whose features the options need: `Standard` is a Deployment, `Knative` needs Knative Serving in the cluster. */
  readonly mode: 'Standard' | 'Knative';
  /** What a replica requests, as Kubernetes writes it. */
  readonly memory: string;
  /** The models that the memory was computed from; none where no folder was given. */
  readonly models: readonly {
    /** Of its folder in the repository. */
    readonly name: string;
    /** Its files, external data included. */
    readonly bytes: number;
    /** Processes, or instances of Triton's, that hold it. */
    readonly copies: number;
  }[];
}

/** `ipgraft package kserve`. */
export function packageKserveCommand({ print, signal }: Terminal): Command {
  return new Command('kserve')
    .description('write the InferenceService with which KServe serves a model repository')
    .argument('[dir]', 'the model repository that lies at --storage-uri, for the memory that it needs')
    .requiredOption('-o, --output <file>', 'the YAML file to write; - prints it')
    .requiredOption('--name <name>', 'of the service')
    .requiredOption('--storage-uri <uri>', 'where the model repository lies, such as s3://bucket/models')
    .option('--namespace <name>', 'of the service')
    .addOption(
      new Option('--runtime <name>', 'what runs the models').choices(['triton', 'ipgraft']).default('triton'),
    )
    .addOption(
      new Option('--protocol <name>', 'v2 is HTTP, grpc-v2 is gRPC').choices(PROTOCOLS).default('v2'),
    )
    .option('--runtime-version <tag>', 'triton: another version than the one that KServe was installed with')
    .option('--image <image>', 'ipgraft: the image that the Dockerfile makes')
    .option('--pull-secret <name>', 'ipgraft: a Secret with which the image is fetched (repeatable)', collect)
    .option(
      '--token-secret <name>',
      'ipgraft: the Secret with the token that requests must bring, or SECRET/KEY',
    )
    .option('--insecure', 'ipgraft: let in whoever reaches the service')
    .option('--workers <n>', 'ipgraft: processes for each model, which run one request each (default: 1)')
    .option('--cpu <n>', 'processors of a replica', '2')
    .option('--memory <bytes>', 'memory of a replica, such as 8Gi; computed where the repository is given')
    .option('--gpu <n>', 'NVIDIA GPUs of a replica', '0')
    .option('--timeout <seconds>', 'longest that a request may take')
    .option('--service-account <name>', 'whose credentials fetch the models')
    .addOption(new Option('--mode <name>', 'of KServe (default: what the other options need)').choices(MODES))
    .option('--min-replicas <n>', 'how many there are at least; 0 with Knative')
    .option('--max-replicas <n>', 'how many there are at most')
    .addOption(
      new Option('--scale-metric <name>', 'what the number of replicas follows').choices(
        Object.keys(METRICS),
      ),
    )
    .option(
      '--scale-target <n>',
      'percent of cpu or memory, or requests at once or a second, for each replica',
    )
    .option('--concurrency <n>', 'requests that a replica takes at once (Knative)')
    .option('--canary <percent>', 'of the requests that go to what this file describes (Knative)')
    .option('--force', 'replace a file that exists')
    .option('--json', 'print as JSON')
    .action(async (folder: string | undefined, flags: PackageKserveFlags) => {
      const { output, force, json } = flags;
      const need = folder === undefined ? undefined : await memoryNeed(folder, copiesOf(flags));
      const service = serviceOf(flags, need && `${need.mebibytes}Mi`);
      const documents = manifests(service);
      const text = await manifestText(documents);
      if (output === '-') return print(text.trimEnd());
      const content = Rope.ofText(text);
      await writeFiles([{ path: output, content }], { force: force === true, signal });
      const report: PackageKserveReport = {
        file: basename(output),
        objects: documents.map(({ kind, metadata }) => ({ kind, name: metadata.name })),
        mode: service.scaling.mode,
        memory: service.resources.memory,
        models: need?.models ?? [],
      };
      if (json) print(JSON.stringify(report, null, 2));
      else printReport(print, report, need);
    });
}

function printReport(print: (line: string) => void, report: PackageKserveReport, need?: MemoryNeed): void {
  for (const { name, bytes, copies } of need?.models ?? [])
    row(print, 'model', `${name}  ${size(bytes)}, held ${copies === 1 ? 'once' : `${copies} times`}`);
  row(print, 'memory', `${report.memory} for each replica`);
  for (const { kind, name } of report.objects) row(print, 'object', `${kind} ${name}`);
  row(print, 'wrote', `${report.file}  KServe's mode ${report.mode}`);
}
