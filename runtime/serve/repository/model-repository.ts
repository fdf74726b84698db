import { IpgraftError } from '../../../compiler/errors.js';
import { printable } from '../../../compiler/printable.js';
import type { ServedModel } from '../backend.js';
import { InferenceStatistics } from '../statistics.js';
import { findModel, listModels, type ModelFiles } from './model-files.js';

/** A model that answers. */
export interface LoadedModel {
  readonly name: string;
  readonly version: string;
  readonly model: ServedModel;
  readonly statistics: InferenceStatistics;
  /** Seconds that loading took. */
  readonly loadSeconds: number;
}

/** A row of the repository's index, as the protocol has it. */
export interface IndexEntry {
  readonly name: string;
  readonly version?: string;
  readonly state: 'READY' | 'LOADING' | 'UNLOADING' | 'UNAVAILABLE';
  readonly reason: string;
}

type Change = 'LOADING' | 'UNLOADING';

/** Milliseconds in which requests end that run when their model goes. */
const GRACE = 30_000;

/** The models of a folder DIR/MODEL/VERSION/model.onnx: which there are, which are loaded. One change of a model at a time. */
export class ModelRepository {
  private readonly folder: string;
  private readonly start: (path: string) => Promise<ServedModel>;
  private readonly loaded = new Map<string, LoadedModel>();
  private readonly changes = new Map<string, { readonly kind: Change; readonly done: Promise<void> }>();
  private readonly reasons = new Map<string, string>();
  private readonly retiring = new Set<ServedModel>();
  private isClosed = false;

  /** @param start loads a model file */
  constructor(folder: string, start: (path: string) => Promise<ServedModel>) {
    this.folder = folder;
    this.start = start;
  }

  /** Loads every model, one after the other; none stays when one fails. @throws IpgraftError `SERVER_REPOSITORY`, and as loading does */
  async loadAll(): Promise<void> {
    try {
      for (const files of await listModels(this.folder))
        await this.change(files.name, 'LOADING', () => this.replace(files));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** The models that answer, by name. */
  get ready(): readonly LoadedModel[] {
    return [...this.loaded.values()];
  }

  /**
   * A model that answers.
   * @throws IpgraftError `SERVER_MODEL_UNKNOWN`, `SERVER_MODEL_NOT_READY`
   */
  find(name: string, version?: string): LoadedModel {
    const found = this.loaded.get(name);
    if (found === undefined) {
      if (!this.changes.has(name) && !this.reasons.has(name)) throw unknownModel(name);
      const kind = this.changes.get(name)?.kind.toLowerCase() ?? 'not loaded';
      throw new IpgraftError(
        'SERVER_MODEL_NOT_READY',
        `model “${printable(name)}” is not ready: it is ${kind}`,
      );
    }
    if (version === undefined || version === found.version) return found;
    throw new IpgraftError(
      'SERVER_MODEL_UNKNOWN',
      `Request for unknown model: '${printable(name)}' version ${version} is not found: version ${found.version} is served`,
    );
  }

  /** Every model of the folder, and those loaded whose files are gone. */
  async index(): Promise<IndexEntry[]> {
    const files = await listModels(this.folder).catch(() => []);
    const names = new Set([...files.map(({ name }) => name), ...this.loaded.keys()]);
    return [...names].sort().map((name): IndexEntry => {
      const version = this.loaded.get(name)?.version ?? files.find((each) => each.name === name)?.version;
      const state = this.changes.get(name)?.kind ?? (this.loaded.has(name) ? 'READY' : 'UNAVAILABLE');
      const reason = state === 'UNAVAILABLE' ? (this.reasons.get(name) ?? '') : '';
      return { name, ...(version !== undefined && { version }), state, reason };
    });
  }

  /**
   * Loads a model's newest version. One that is loaded answers until the new one does.
   * @throws IpgraftError `SERVER_MODEL_UNKNOWN`, and as loading does
   */
  async load(name: string): Promise<void> {
    const files = await findModel(this.folder, name);
    if (files === undefined) throw unknownModel(name);
    await this.change(name, 'LOADING', () => this.replace(files));
  }

  /** Takes a model out of service; what runs may end. @throws IpgraftError `SERVER_MODEL_UNKNOWN` */
  async unload(name: string): Promise<void> {
    if (
      !this.loaded.has(name) &&
      !this.changes.has(name) &&
      (await findModel(this.folder, name)) === undefined
    )
      throw unknownModel(name);
    await this.change(name, 'UNLOADING', async () => {
      const old = this.loaded.get(name);
      this.loaded.delete(name);
      this.reasons.set(name, 'unloaded');
      if (old !== undefined) await this.retire(old.model);
    });
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

  private async replace({ name, version, path }: ModelFiles): Promise<void> {
    const began = performance.now();
    let model: ServedModel;
    try {
      model = await this.start(path);
    } catch (error) {
      // What it says may name files of this machine: that is for the log.
      if (!this.loaded.has(name)) this.reasons.set(name, 'failed to load');
      throw error;
    }
    const old = this.loaded.get(name);
    const loadSeconds = (performance.now() - began) / 1000;
    this.loaded.set(name, { name, version, model, statistics: new InferenceStatistics(), loadSeconds });
    this.reasons.delete(name);
    // Nobody waits for what still runs there.
    if (old !== undefined) void this.retire(old.model);
  }

  private async retire(model: ServedModel): Promise<void> {
    this.retiring.add(model);
    await model.close(GRACE);
    this.retiring.delete(model);
  }
}

// Triton's words: clients look for them.
function unknownModel(name: string): IpgraftError {
  return new IpgraftError(
    'SERVER_MODEL_UNKNOWN',
    `Request for unknown model: '${printable(name)}' is not found`,
  );
}
