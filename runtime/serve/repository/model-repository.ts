import { IpgraftError } from '../../../compiler/errors.js';
import { printable } from '../../../compiler/printable.js';
import type { ServedModel } from '../backend.js';
import { InferenceStatistics } from '../statistics.js';
import { Ensembles } from './ensembles.js';
import type { LoadedModel } from './loaded-model.js';
import {
  type FoundModel,
  findModel,
  isModelName,
  listModels,
  type ModelFiles,
  modelNames,
} from './model-files.js';
import { type StartOptions, startModel } from './start-model.js';

/** A row of the repository's index, as the protocol has it. */
export interface IndexEntry {
  readonly name: string;
  readonly version?: string;
  readonly state: 'READY' | 'LOADING' | 'UNLOADING' | 'UNAVAILABLE';
  readonly reason: string;
}

/** How a repository's models are served. */
export interface RepositoryOptions extends StartOptions {
  /** Says something to whoever runs the server. */
  readonly note: (text: string) => void;
}

type Change = 'LOADING' | 'UNLOADING';

/** Milliseconds in which requests end that run when their model goes. */
const GRACE = 30_000;

const CHANGED = 'its files have changed since it was loaded: what was loaded answers';

/**
 * The models of a folder DIR/MODEL/VERSION/model.onnx and the ensembles of them: which there are, which are loaded. One change of a model at a
 * time.
 */
export class ModelRepository {
  private readonly folder: string;
  private readonly options: RepositoryOptions;
  private readonly loaded = new Map<string, LoadedModel>();
  private readonly changes = new Map<string, { readonly kind: Change; readonly done: Promise<void> }>();
  private readonly reasons = new Map<string, string>();
  private readonly retiring = new Set<ServedModel>();
  private readonly ensembles: Ensembles;
  private folders: ReadonlySet<string> = new Set();
  private isClosed = false;

  constructor(folder: string, options: RepositoryOptions) {
    this.folder = folder;
    this.options = options;
    this.ensembles = new Ensembles({
      loaded: this.loaded,
      find: (name, version) => this.find(name, version),
      hasFolder: (name) => this.folders.has(name),
      retire: ({ model }) => void this.retire(model),
      note: options.note,
    });
  }

  /**
   * Loads every model, one after the other, then ensembles; none stays when one fails. An ensemble whose models are not there is no failure: it
   * is not ready.
   * @param mayBeEmpty whether a folder without models is no failure
   * @throws IpgraftError `SERVER_REPOSITORY`, `SERVER_CONFIG`, and as loading does
   */
  async loadAll(mayBeEmpty = false): Promise<void> {
    try {
      const models = (await this.list(mayBeEmpty)).map((found) => {
        if ('fault' in found) throw found.fault;
        return found.files;
      });
      for (const files of models.filter(({ config }) => !config.isEnsemble))
        await this.change(files.name, 'LOADING', () => this.replace(files));
      for (const files of models.filter(({ config }) => config.isEnsemble)) this.want(files);
      for (const { name } of models) {
        const fault = this.ensembles.faultOf(name);
        if (fault?.code === 'SERVER_CONFIG') throw fault;
        if (fault !== undefined) this.options.note(fault.message);
      }
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** The models that answer, by name. */
  get ready(): readonly LoadedModel[] {
    return [...this.loaded.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * A model that answers.
   * @throws IpgraftError `SERVER_MODEL_UNKNOWN`, `SERVER_MODEL_NOT_READY`
   */
  find(name: string, version?: string): LoadedModel {
    const found = this.loaded.get(name);
    if (found === undefined) throw this.notFound(name);
    if (version === undefined || version === found.version) {
      if (found.model.fault) throw found.model.fault;
      return found;
    }
    throw new IpgraftError(
      'SERVER_MODEL_UNKNOWN',
      `Request for unknown model: '${printable(name)}' version ${version} is not found: version ${found.version} is served`,
    );
  }

  /** Every model of the folder, those loaded whose files are gone, and the ensembles that are offered. */
  async index(): Promise<IndexEntry[]> {
    const files = new Map((await this.list().catch(() => [])).map((found) => [found.name, found]));
    const names = new Set([...files.keys(), ...this.loaded.keys(), ...this.ensembles.names]);
    return Promise.all([...names].sort().map((name) => this.entryOf(name, files.get(name))));
  }

  /**
   * Loads the version of a model that is to be served, and of an ensemble before it the models that are not loaded. One that is loaded answers
   * until the new one does.
   * @throws IpgraftError `SERVER_MODEL_UNKNOWN`, `SERVER_CONFIG`, `SERVER_MODEL_NOT_READY` for an ensemble without its models, and as loading does
   */
  async load(name: string): Promise<void> {
    // What is offered must not take the name of a folder.
    this.folders = await modelNames(this.folder).then(
      (names) => new Set(names),
      () => this.folders,
    );
    await this.loadWithParts(name, []);
  }

  /**
   * Takes a model out of service, and with it ensembles that it is part of; what runs may end.
   * @param dependents whether the models of an ensemble go too, where no other uses them
   * @throws IpgraftError `SERVER_MODEL_UNKNOWN`
   */
  async unload(name: string, dependents = false): Promise<void> {
    const isKnown = this.loaded.has(name) || this.changes.has(name) || this.ensembles.names.includes(name);
    // What is wrong with its configuration does not keep a model.
    if (!isKnown && (await findModel(this.folder, name).catch(() => true)) === undefined)
      throw unknownModel(name);
    let parts: readonly string[] = [];
    await this.change(name, 'UNLOADING', async () => {
      const old = this.loaded.get(name);
      this.loaded.delete(name);
      this.reasons.set(name, 'unloaded');
      parts = this.ensembles.drop(name);
      this.ensembles.settle();
      if (old !== undefined) await this.retire(old.model);
    });
    if (dependents) for (const part of parts) if (this.loaded.has(part)) await this.unload(part, true);
  }

  /** Ends every model, those too that are on their way out; waits for those that are being loaded. */
  async close(grace = 0): Promise<void> {
    this.isClosed = true;
    const end = () => {
      const models = [...this.ready.map(({ model }) => model), ...this.retiring];
      this.loaded.clear();
      return Promise.all(models.map((model) => model.close(grace)));
    };
    await end();
    await Promise.allSettled([...this.changes.values()].map(({ done }) => done));
    await end();
  }

  private async entryOf(name: string, found: FoundModel | undefined): Promise<IndexEntry> {
    const loaded = this.loaded.get(name);
    const version =
      loaded?.version ?? (found !== undefined && 'files' in found ? found.files.version : undefined);
    const about = { name, ...(version !== undefined && { version }) };
    const change = this.changes.get(name)?.kind;
    if (change !== undefined) return { ...about, state: change, reason: '' };
    if (loaded?.model.fault) return { ...about, state: 'UNAVAILABLE', reason: loaded.model.fault.message };
    if (loaded !== undefined)
      return { ...about, state: 'READY', reason: (await loaded.model.hasChanged?.()) ? CHANGED : '' };
    const fault = found !== undefined && 'fault' in found ? found.fault : this.ensembles.faultOf(name);
    return { ...about, state: 'UNAVAILABLE', reason: fault?.message ?? this.reasons.get(name) ?? '' };
  }

  private notFound(name: string): IpgraftError {
    const kind = this.changes.get(name)?.kind.toLowerCase();
    const fault = this.ensembles.faultOf(name)?.message;
    if (kind === undefined && fault === undefined && !this.reasons.has(name)) return unknownModel(name);
    const why = kind === undefined && fault !== undefined ? fault : `it is ${kind ?? 'not loaded'}`;
    return new IpgraftError('SERVER_MODEL_NOT_READY', `model “${printable(name)}” is not ready: ${why}`);
  }

  private async list(mayBeEmpty = false): Promise<Awaited<ReturnType<typeof listModels>>> {
    const models = await listModels(this.folder, mayBeEmpty);
    this.folders = new Set(models.map(({ name }) => name));
    return models;
  }

  private async loadWithParts(name: string, wholes: readonly string[]): Promise<void> {
    if (this.ensembles.isOffered(name)) {
      this.reasons.delete(name);
      return this.ensembles.accept(name);
    }
    const files = isModelName(name) ? await findModel(this.folder, name) : undefined;
    if (files === undefined) throw unknownModel(name);
    if (!files.config.isEnsemble) return this.change(name, 'LOADING', () => this.replace(files));
    for (const { model } of files.config.steps) {
      if (this.loaded.has(model) || model === name || wholes.includes(model)) continue;
      await this.loadWithParts(model, [...wholes, name]).catch((error) => {
        // That it is missing is said of the ensemble.
        if (!(error instanceof IpgraftError && error.code === 'SERVER_MODEL_UNKNOWN')) throw error;
      });
    }
    await this.change(name, 'LOADING', async () => {
      const fault = this.want(files);
      if (fault !== undefined) throw fault;
    });
  }

  private want({ name, version, config }: ModelFiles): IpgraftError | undefined {
    this.noteUnused(name, config.unused);
    this.reasons.delete(name);
    return this.ensembles.want(name, version, config);
  }

  /** Waits until no other change of the model is under way. */
  private async change(name: string, kind: Change, work: () => Promise<void>): Promise<void> {
    for (let other = this.changes.get(name); other !== undefined; other = this.changes.get(name))
      await other.done.catch(() => {});
    if (this.isClosed) throw new IpgraftError('SERVER_MODEL_NOT_READY', 'the server is stopping');
    const done = work();
    this.changes.set(name, { kind, done });
    try {
      await done;
    } finally {
      this.changes.delete(name);
    }
  }

  private async replace(files: ModelFiles): Promise<void> {
    const { name, version, config } = files;
    const began = performance.now();
    this.noteUnused(name, config.unused);
    let started: Awaited<ReturnType<typeof startModel>>;
    try {
      started = await startModel(files, this.options);
    } catch (error) {
      // What it says may name files of this machine: that is for the log.
      if (!this.loaded.has(name)) this.reasons.set(name, 'failed to load');
      throw error instanceof IpgraftError && error.code === 'RUNTIME_LOAD' ? naming(name, error) : error;
    }
    const old = this.loaded.get(name);
    const loadSeconds = (performance.now() - began) / 1000;
    const statistics = new InferenceStatistics();
    this.loaded.set(name, { name, version, ...started, config, statistics, loadSeconds });
    this.reasons.delete(name);
    this.ensembles.settle();
    // Nobody waits for what still runs there.
    if (old !== undefined) void this.retire(old.model);
  }

  private noteUnused(name: string, fields: readonly string[]): void {
    if (fields.length > 0)
      this.options.note(`config.pbtxt of model “${name}”: without effect here: ${fields.join(', ')}`);
  }

  private async retire(model: ServedModel): Promise<void> {
    this.retiring.add(model);
    await model.close(GRACE);
    this.retiring.delete(model);
  }
}

/** ONNX Runtime may say no more than that memory is short. */
function naming(model: string, { code, message, facts, hint, cause }: IpgraftError): IpgraftError {
  return new IpgraftError(code, `model “${model}”: ${message}`, { model, ...facts }, { hint, cause });
}

// Triton's words: clients look for them.
function unknownModel(name: string): IpgraftError {
  return new IpgraftError(
    'SERVER_MODEL_UNKNOWN',
    `Request for unknown model: '${printable(name)}' is not found`,
  );
}
