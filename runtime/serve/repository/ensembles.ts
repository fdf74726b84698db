import { IpgraftError } from '../../../compiler/errors.js';
import { configuredModel } from '../config/configured-model.js';
import type { ModelConfig } from '../config/model-config.js';
import { checkEnsemble } from '../ensemble/check-ensemble.js';
import { ensembleModel } from '../ensemble/ensemble-model.js';
import type { FindMember } from '../ensemble/ensemble-run.js';
import { offerPipelines } from '../ensemble/offer-pipelines.js';
import { InferenceStatistics } from '../statistics.js';
import type { LoadedModel } from './loaded-model.js';

/** An ensemble that is to answer whenever its models do. */
interface Wanted {
  readonly version: string;
  readonly config: ModelConfig;
  readonly isOffered: boolean;
}

/** What the ensembles of a repository are made of. */
export interface EnsemblesOptions {
  /** What answers. Ensembles come into it and go. */
  readonly loaded: Map<string, LoadedModel>;
  readonly find: FindMember;
  /** Whether a model has a folder: what is offered leaves its name to it. */
  readonly hasFolder: (name: string) => boolean;
  /** Ends an ensemble that has been taken out. */
  readonly retire: (gone: LoadedModel) => void;
  /** Says something to whoever runs the server. */
  readonly note: (text: string) => void;
}

/** The ensembles of a repository: each answers while its models do, and fit together. */
export class Ensembles {
  private readonly options: EnsemblesOptions;
  private readonly wanted = new Map<string, Wanted>();
  private readonly declined = new Set<string>();
  private readonly noted = new Set<string>();

  constructor(options: EnsemblesOptions) {
    this.options = options;
  }

  /** All that are to answer, and those offered that were declined. */
  get names(): readonly string[] {
    return [...this.wanted.keys(), ...this.declined];
  }

  /** Whether an ensemble is offered, or was before it was declined. */
  isOffered(name: string): boolean {
    return this.declined.has(name) || this.wanted.get(name)?.isOffered === true;
  }

  /** Why an ensemble does not answer; `undefined` for one that does, or that is not wanted. */
  faultOf(name: string): IpgraftError | undefined {
    const wanted = this.wanted.get(name);
    return wanted && this.fault(name, wanted.config);
  }

  /**
   * Wants an ensemble from now on; one of this name makes room for it. Why it does not answer now: its models are missing, or do not fit; then
   * the old one stays if there is one.
   */
  want(name: string, version: string, config: ModelConfig): IpgraftError | undefined {
    const { loaded } = this.options;
    const fault = this.fault(name, config);
    if (fault === undefined || !loaded.has(name)) {
      this.takeOut(name);
      this.wanted.set(name, { version, config, isOffered: false });
      this.settle();
    }
    return fault;
  }

  /** Offers an ensemble again that was declined. */
  accept(name: string): void {
    this.declined.delete(name);
    this.settle();
  }

  /** Wants an ensemble no more. The models that no other ensemble has that somebody wrote. */
  drop(name: string): readonly string[] {
    const wanted = this.wanted.get(name);
    if (wanted === undefined) return [];
    this.wanted.delete(name);
    if (wanted.isOffered) this.declined.add(name);
    const others = [...this.wanted.values()]
      .filter(({ isOffered }) => !isOffered)
      .flatMap(({ config }) => config.steps.map(({ model }) => model));
    return [...new Set(wanted.config.steps.map(({ model }) => model))].filter(
      (model) => !others.includes(model),
    );
  }

  /** After models came or went: takes in the ensembles that can answer, takes out those that cannot any more. */
  settle(): void {
    const { loaded, find } = this.options;
    this.offer();
    // An ensemble may be part of another.
    for (let isSettled = false; !isSettled; ) {
      isSettled = true;
      for (const [name, { version, config }] of this.wanted) {
        const canAnswer = this.fault(name, config) === undefined;
        if (canAnswer === loaded.has(name)) continue;
        isSettled = false;
        if (!canAnswer) this.takeOut(name);
        else {
          const model = configuredModel(ensembleModel(config, find), config, name);
          const statistics = new InferenceStatistics();
          loaded.set(name, { name, version, model, config, kind: undefined, statistics, loadSeconds: 0 });
        }
      }
    }
  }

  private offer(): void {
    const { loaded, hasFolder } = this.options;
    const note = (text: string) => {
      if (!this.noted.has(text)) this.options.note(text);
      this.noted.add(text);
    };
    const offered = offerPipelines([...loaded.values()], note).filter(({ name }) => !hasFolder(name));
    for (const [name, { isOffered }] of this.wanted) {
      if (!isOffered || offered.some((each) => each.name === name)) continue;
      this.wanted.delete(name);
      this.takeOut(name);
    }
    for (const { name, config } of offered)
      if (!this.declined.has(name) && !this.wanted.has(name))
        this.wanted.set(name, { version: '1', config, isOffered: true });
  }

  private takeOut(name: string): void {
    const { loaded, retire } = this.options;
    const gone = loaded.get(name);
    loaded.delete(name);
    if (gone !== undefined) retire(gone);
  }

  private fault(name: string, config: ModelConfig): IpgraftError | undefined {
    const { loaded } = this.options;
    const memberOf = ({ model, version }: ModelConfig['steps'][number]) => {
      const found = loaded.get(model);
      return found !== undefined && (version === undefined || version === found.version) ? found : undefined;
    };
    const missing = config.steps.filter((step) => memberOf(step) === undefined).map(({ model }) => model);
    if (missing.length > 0)
      return new IpgraftError(
        'SERVER_MODEL_NOT_READY',
        `ensemble “${name}” contains models that are not available: ${missing.join(', ')}`,
      );
    try {
      checkEnsemble(name, config, (step) => memberOf(step)!);
      return undefined;
    } catch (error) {
      if (error instanceof IpgraftError) return error;
      throw error;
    }
  }
}
