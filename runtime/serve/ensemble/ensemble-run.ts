import { IpgraftError } from '../../../compiler/errors.js';
import { printable } from '../../../compiler/printable.js';
import type { InferenceTimes, InferOptions } from '../backend.js';
import type { EnsembleStep } from '../config/model-config.js';
import type { LoadedModel } from '../repository/loaded-model.js';
import { failureReason } from '../statistics.js';
import type { Tensor } from '../tensor.js';

/** A model that answers. @throws IpgraftError `SERVER_MODEL_UNKNOWN`, `SERVER_MODEL_NOT_READY` */
export type FindMember = (name: string, version?: string) => LoadedModel;

/** One request to an ensemble. */
export class EnsembleRun {
  /** Of the steps that have run. */
  readonly times: InferenceTimes[] = [];
  private readonly producers: ReadonlyMap<string, EnsembleStep>;
  private readonly find: FindMember;
  private readonly given: ReadonlyMap<string, Tensor>;
  private readonly asked: readonly string[];
  private readonly options: InferOptions;
  private readonly needed = new Set<string>();
  private readonly steps = new Map<EnsembleStep, Promise<ReadonlyMap<string, Tensor>>>();
  private readonly giveUp = new AbortController();
  private readonly began = performance.now();

  /**
   * @param producers the step that makes each tensor
   * @param inputs by the ensemble's names
   * @param asked outputs, by the ensemble's names
   */
  constructor(
    producers: ReadonlyMap<string, EnsembleStep>,
    find: FindMember,
    inputs: readonly Tensor[],
    asked: readonly string[],
    options: InferOptions,
  ) {
    this.producers = producers;
    this.find = find;
    this.given = new Map(inputs.map((input) => [input.name, input]));
    this.asked = asked;
    this.options = options;
    for (const name of asked) this.need(name);
  }

  /** Runs the steps. When one fails, those that run beside it are given up. @throws IpgraftError as a model's `infer` does */
  async outputs(): Promise<Tensor[]> {
    const { signal } = this.options;
    const onAbort = () => this.cancel();
    signal?.addEventListener('abort', onAbort);
    if (signal?.aborted) this.cancel();
    try {
      // An output has a producer: the ensemble was checked.
      return (await Promise.all(this.asked.map((name) => this.tensor(name)))) as Tensor[];
    } catch (error) {
      this.cancel();
      await Promise.allSettled(this.steps.values());
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Gives up what runs. */
  cancel(): void {
    this.giveUp.abort();
  }

  private need(tensor: string): void {
    if (this.needed.has(tensor)) return;
    this.needed.add(tensor);
    for (const input of this.producers.get(tensor)?.inputs.values() ?? []) this.need(input);
  }

  /** `undefined` for an input that was not given, which only an optional one may be. */
  private async tensor(name: string): Promise<Tensor | undefined> {
    const producer = this.producers.get(name);
    if (producer === undefined) return this.given.get(name);
    let made = this.steps.get(producer);
    if (made === undefined) {
      made = this.run(producer);
      this.steps.set(producer, made);
    }
    return (await made).get(name);
  }

  private async run(step: EnsembleStep): Promise<ReadonlyMap<string, Tensor>> {
    const inputs = await Promise.all(
      [...step.inputs].map(async ([name, tensor]) => {
        const found = await this.tensor(tensor);
        return found && { ...found, name };
      }),
    );
    const outputs = [...step.outputs].filter(([, tensor]) => this.needed.has(tensor));
    const made = await this.ask(
      step,
      inputs.filter((input) => input !== undefined),
      outputs.map(([name]) => name),
    );
    return new Map(
      outputs.map(([name, tensor]) => [
        tensor,
        { ...made.find((each) => each.name === name)!, name: tensor },
      ]),
    );
  }

  /** Asks a model as a client would: its statistics count it. */
  private async ask(
    { model, version }: EnsembleStep,
    inputs: readonly Tensor[],
    outputs: readonly string[],
  ): Promise<readonly Tensor[]> {
    if (this.giveUp.signal.aborted) throw new IpgraftError('SERVER_CANCELLED', 'given up by whoever asked');
    const limit = this.timeLeft();
    const member = this.find(model, version);
    const began = process.hrtime.bigint();
    const elapsed = () => Number(process.hrtime.bigint() - began);
    try {
      const made = await member.model.infer(inputs, {
        outputs,
        signal: this.giveUp.signal,
        ...limit,
      });
      member.statistics.succeeded(made.times, elapsed());
      this.times.push(made.times);
      return made.outputs;
    } catch (error) {
      member.statistics.failed(failureReason(error), elapsed());
      if (!(error instanceof IpgraftError)) throw error;
      const { code, message, facts, hint } = error;
      throw new IpgraftError(code, `model “${printable(model)}”: ${message}`, facts, { hint, cause: error });
    }
  }

  private timeLeft(): { readonly timeout?: number } {
    const { timeout } = this.options;
    if (timeout === undefined) return {};
    const left = timeout - (performance.now() - this.began);
    if (left > 0) return { timeout: left };
    throw new IpgraftError('SERVER_TIMEOUT', `not answered within ${timeout} ms`, { limit: timeout });
  }
}
