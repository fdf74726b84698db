import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { IpgraftError } from '../../compiler/errors.js';
import { GENEROUS_LIMITS } from '../pipeline/request.js';
import { LONGEST_TIMER } from '../serve/longest-timer.js';
import { isLoopback } from '../serve/loopback.js';
import { PROVIDERS, type Provider } from '../session/load-runtime.js';
import { type AdmissionFlags, admissionOf } from './admission-options.js';
import { wholeNumber } from './number-option.js';
import { row } from './print-report.js';
import { collect } from './repeated-option.js';
import type { Terminal } from './terminal.js';

interface ServeFlags extends AdmissionFlags {
  readonly port: string;
  readonly grpcPort?: string;
  readonly provider: Provider;
  readonly workers: string;
  readonly threads?: string;
  readonly queue: string;
  readonly adminToken?: string;
  readonly insecure?: true;
  readonly modelControl: 'none' | 'explicit';
  readonly maxBody: string;
  readonly timeout: string;
  readonly drain: string;
  readonly cache: string;
  readonly maxPixels: string;
  readonly maxSteps: string;
  readonly maxPictures: string;
  readonly json?: true;
}

/** What `ipgraft serve` prints with `--json`, in one line, when it listens. Its log is on standard error. */
export interface ServeReport {
  /** Where it listens. */
  readonly url: string;
  /** Where it speaks gRPC, such as `grpc://127.0.0.1:8001`: clients take what follows `grpc://`. Absent without --grpc-port. */
  readonly grpcUrl?: string;
  /** The models that are loaded. */
  readonly models: readonly {
    /** Of its folder in the repository. */
    readonly name: string;
    /** The newest one there. */
    readonly version: string;
  }[];
  /** The pipelines that make pictures. */
  readonly pipelines: readonly string[];
}

/** Characters of a prompt. An encoder reads some hundred of them. */
const LONGEST_PROMPT = 4000;

/** Milliseconds that requests get to end after the server has stopped listening. */
const GRACE = 30_000;

/** Milliseconds for whoever reads the log to take its end. */
const LAST_LINES = 1000;

/** `ipgraft serve`. Ends, with 0, when it is told to by SIGTERM or Ctrl-C; a second signal ends it at once. */
export function serveCommand(terminal: Terminal): Command {
  return new Command('serve')
    .description('serve the models and pipelines of a folder over HTTP and gRPC')
    .argument('<dir>', 'a folder of models, DIR/MODEL/VERSION/model.onnx, and of pipelines; or a pipeline')
    .option('--port <n>', 'where to listen; 0 for any that is free', '8000')
    .option('--grpc-port <n>', 'where to speak gRPC too; 0 for any that is free')
    .option('--host <address>', 'where to listen', '127.0.0.1')
    .addOption(new Option('--provider <name>', 'what runs the models').choices(PROVIDERS).default('cpu'))
    .option('--workers <n>', 'processes for each model, which run one request each', '1')
    .option('--threads <n>', 'threads of each process')
    .option('--queue <n>', 'requests that wait for each model', '64')
    .addOption(new Option('--token <text>', 'what requests must bring').env('IPGRAFT_TOKEN'))
    .addOption(
      new Option('--admin-token <text>', 'what loading and unloading needs').env('IPGRAFT_ADMIN_TOKEN'),
    )
    .option('--rate-limit <rate>', 'how often each client may ask, such as 60/minute')
    .option('--allow-host <name>', 'a name beside localhost by which requests may come (repeatable)', collect)
    .option('--allow-origin <origin>', 'an origin whose web pages may ask (repeatable)', collect)
    .option('--insecure', 'listen beyond this machine, or let models be loaded, without tokens')
    .addOption(
      new Option('--model-control <mode>', 'whether requests load and unload models')
        .choices(['none', 'explicit'])
        .default('none'),
    )
    .option(
      '--max-body <bytes>',
      'largest request, and largest outputs of an answer',
      String(64 * 1024 * 1024),
    )
    .option('--timeout <ms>', 'longest that a request may take', '300000')
    .option('--drain <ms>', 'how long requests are still taken after SIGTERM', '5000')
    .option('--cache <bytes>', 'memory for answers that are kept', String(256 * 1024 * 1024))
    .option('--max-pixels <n>', 'of one picture, width by height', String(1024 * 1024))
    .option('--max-steps <n>', 'of one request for pictures', '150')
    .option('--max-pictures <n>', 'of one request for pictures', '4')
    .option('--json', 'print where it listens as JSON')
    .action(async (folder: string, flags: ServeFlags) => {
      refuseOpen(flags);
      const options = {
        host: flags.host,
        port: wholeNumber('--port', flags.port, 0, 65_535),
        ...(flags.grpcPort !== undefined && {
          grpcPort: wholeNumber('--grpc-port', flags.grpcPort, 0, 65_535),
        }),
        modelControl: flags.modelControl,
        ...admissionOf(flags),
        cache: wholeNumber('--cache', flags.cache, 0),
        maxBody: wholeNumber('--max-body', flags.maxBody, 1),
        timeout: wholeNumber('--timeout', flags.timeout, 1, LONGEST_TIMER),
        ...(flags.token !== undefined && { token: flags.token }),
        ...(flags.adminToken !== undefined && { adminToken: flags.adminToken }),
      };
      const drain = wholeNumber('--drain', flags.drain, 0, LONGEST_TIMER);
      const runs = {
        provider: flags.provider,
        workers: wholeNumber('--workers', flags.workers, 1),
        queueSize: wholeNumber('--queue', flags.queue, 0),
        runTimeout: options.timeout,
        ...(flags.threads !== undefined && { threads: wholeNumber('--threads', flags.threads, 1) }),
      };
      const limits = {
        pixels: wholeNumber('--max-pixels', flags.maxPixels, 1),
        steps: wholeNumber('--max-steps', flags.maxSteps, 1, GENEROUS_LIMITS.steps),
        pictures: wholeNumber('--max-pictures', flags.maxPictures, 1, GENEROUS_LIMITS.pictures),
        prompt: LONGEST_PROMPT,
      };
      // Fastify takes longer to load than a model to compile.
      const [{ serveRepository }, { serveModel }] = await Promise.all([
        import('../serve/serve.js'),
        import('../serve/workers/serve-model.js'),
      ]);
      const { url, grpcUrl, models, pipelines, stop } = await endableMeanwhile(
        serveRepository(folder, {
          ...options,
          log: process.stderr,
          workers: runs.workers,
          loadModel: (path, settings) =>
            serveModel(path, { ...runs, maxAnswer: options.maxBody, ...settings }),
          pictures: {
            workers: runs.workers,
            queueSize: runs.queueSize,
            limits,
            // Requests wait before the pipeline. A model of it may still end a run that nobody waits for.
            loadModel: (path) => serveModel(path, { ...runs, queueSize: runs.workers }),
          },
        }),
      );
      const report: ServeReport = { url, ...(grpcUrl !== undefined && { grpcUrl }), models, pipelines };
      if (flags.json) terminal.print(JSON.stringify(report));
      else {
        for (const { name, version } of models) row(terminal.print, 'model', `${name}  version ${version}`);
        for (const name of pipelines) row(terminal.print, 'pipeline', name);
        for (const each of [url, grpcUrl]) if (each !== undefined) row(terminal.print, 'listens', each);
      }
      if (terminal.signal.aborted) await stop(0, 0);
      terminal.signal.throwIfAborted();
      // Whoever presses Ctrl-C sees no balancer that must notice first.
      await ending((signal) => stop(signal === 'SIGTERM' ? drain : 0, GRACE));
    });
}

/** Refuses to let the world in by oversight. @throws IpgraftError `OPTION_INVALID` */
function refuseOpen({ host, token, adminToken, insecure, modelControl }: ServeFlags): void {
  // What an unset variable of a shell makes of `--token "$TOKEN"`.
  for (const [option, value] of [
    ['--token', token],
    ['--admin-token', adminToken],
  ])
    if (value !== undefined && !/^\S+$/.test(value))
      throw new IpgraftError(
        'OPTION_INVALID',
        `${option}: sought a text without spaces, found ${value === '' ? 'none' : 'some'}`,
      );
  if (insecure) return;
  if (!isLoopback(host) && token === undefined)
    throw new IpgraftError(
      'OPTION_INVALID',
      `--host ${host} is reached from other machines: sought --token`,
      {},
      {
        hint: 'Give a token, listen on 127.0.0.1 behind a proxy that asks for one, or pass --insecure.',
      },
    );
  if (modelControl === 'explicit' && adminToken === undefined)
    throw new IpgraftError(
      'OPTION_INVALID',
      '--model-control explicit: sought --admin-token',
      {},
      {
        hint: 'Give an admin token, or pass --insecure.',
      },
    );
}

/**
 * Lets SIGTERM end the process while something else goes on, with the code that shells give for it. So it does by itself, but where the process
 * is the first of a container: that one gets no signal that it does not listen to.
 */
async function endableMeanwhile<T>(work: Promise<T>): Promise<T> {
  const end = () => process.exit(143);
  process.on('SIGTERM', end);
  try {
    return await work;
  } finally {
    process.off('SIGTERM', end);
  }
}

type Signal = 'SIGTERM' | 'SIGINT';

/** Waits for a signal to end, and for `stop`. A second signal ends the process at once, with the code that shells give for it. */
async function ending(stop: (signal: Signal) => Promise<void>): Promise<void> {
  let first: (signal: Signal) => void;
  const told = new Promise<Signal>((resolve) => {
    first = resolve;
  });
  let isStopping = false;
  const on = (signal: Signal) => {
    if (isStopping) process.exit(signal === 'SIGINT' ? 130 : 143);
    isStopping = true;
    first(signal);
  };
  process.on('SIGTERM', on).on('SIGINT', on);
  try {
    await stop(await told);
    await leaveLog();
  } finally {
    process.off('SIGTERM', on).off('SIGINT', on);
  }
}

/** Waits until the end of the log is taken, for a moment: lines that nobody takes would hold the process up for ever. */
async function leaveLog(): Promise<void> {
  if (process.stderr.writableLength === 0) return;
  const taken = new Promise((resolve) => process.stderr.write('', resolve));
  const late = sleep(LAST_LINES, 'late', { ref: false });
  if ((await Promise.race([taken, late])) === 'late') process.exit();
}
