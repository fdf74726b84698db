import { IpgraftError } from '../../compiler/errors.js';
import { fingerprint } from '../../compiler/fingerprint.js';
import type { Model } from '../../compiler/onnx/read-model.js';
import type { Adapter } from '../../passes/adapter/adapter.js';
import type { OpenedModel } from '../open.js';
import type { Provider } from '../session/load-runtime.js';
import { countNodes, loadSession, type Session, type Values } from '../session/session.js';
import { type ReadStamp, readStamp } from '../stamp.js';
import { restoreBase } from '../strip-patched.js';
import { type ImageInputs, imageInputs, tokensBehindText } from './image-inputs.js';
import { checkLaws, worstOf } from './image-laws.js';
import { limitsOf } from './limits.js';
import { recomputed } from './recomputed.js';
import { type Importing, loadSecondEngine } from './second-engine.js';
import { type Shapes, seededInputs } from './seeded-inputs.js';
import type { Check, Validation } from './validation.js';

/** How to validate. */
export interface ValidateOptions {
  /** Default 0. */
  readonly seed?: number;
  /** Shapes of inputs, where those that are chosen for free dimensions do not fit. */
  readonly shapes?: Shapes;
  /** The checkpoints that were compiled in, in their order. Without them the model's own image weights are taken for right. */
  readonly adapters?: readonly Adapter[];
  /** What runs both models; default `cpu`. */
  readonly provider?: Provider;
  /** How the second engine is loaded; default `import`. */
  readonly importing?: Importing;
}

type Outputs = ReadonlyMap<string, Values>;

/**
 * Checks a patched model against its base on seeded inputs of the model's own shapes: that undoing the edits gives the base,
 * that with the adapter off it computes what the base computes, bit for bit on the CPU, that with the adapter on it does not, and that
 * a second engine computes the same at every cross-attention. One model is loaded at a time; nothing is written.
 * @throws IpgraftError `MODEL_NOT_PATCHED`, `VERIFY_OTHER_BASE`, `OPTION_INVALID`, `ADAPTER_*`, `RUNTIME_*`
 */
export async function validate(
  base: OpenedModel & { readonly path: string },
  patched: OpenedModel & { readonly path: string },
  { seed = 0, shapes = new Map(), adapters = [], provider = 'cpu', importing }: ValidateOptions = {},
): Promise<Validation> {
  const stamp = readStamp(patched);
  refuseOtherBase(base, stamp);
  // Before anything takes long. Without an adapter there is nothing to recompute.
  const hasNone = !('tokens' in stamp['ipgraft.options']);
  const engine = hasNone ? null : await loadSecondEngine(importing);
  const proof = await undo(patched);
  const feeds = seededInputs(base.graph, seed, shapes);
  const expected = await running(base.path, provider, (session) => session.run(feeds));
  const inputs = imageInputs(patched.graph, stamp, feeds, seed, shapes);
  const limits = limitsOf(patched.graph, provider);
  const whole = await running(patched.path, provider, async (session) => {
    const off = await checkOff(session, inputs, expected, stamp, provider === 'cpu' ? 0 : limits.model);
    const warnings =
      tokensBehindText(stamp) === 0 ? [] : [await warnOfTextAlone(session, inputs, expected, stamp)];
    if (hasNone) return { checks: [off.check], warnings };
    const on = await session.run(inputs.on);
    const unchanged = off.isBase ? expected : off.outputs;
    const laws = await checkLaws(
      session,
      patched.graph,
      inputs,
      { unchanged, on },
      {
        exact: off.limit,
        rounding: limits.model,
      },
    );
    return { checks: [off.check, checkOn(expected, on), ...laws], warnings };
  });
  const again = await recomputed({ base, patched, stamp, adapters, provider, seed, inputs, engine });
  const placed = provider === 'cpu' ? [] : [await checkPlacement(patched.path, inputs, provider)];
  const checks = [proof, ...placed, ...whole.checks, ...again.checks];
  return {
    passed: checks.every((check) => check.passed !== false),
    provider,
    engine: again.sites.length === 0 ? null : engine!.engine,
    checks,
    sites: again.sites,
    warnings: [...whole.warnings, ...again.warnings],
  };
}

async function running<T>(
  path: string,
  provider: Provider,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await loadSession(path, provider);
  try {
    return await work(session);
  } finally {
    await session.release();
  }
}

/** What a provider does not take runs on the CPU, without a word: said here, and no failure. */
async function checkPlacement(path: string, { on }: ImageInputs, provider: Provider): Promise<Check> {
  const counts = await countNodes(path, on, provider);
  const taken = [...counts].map(([name, count]) => `${count} by ${name}`);
  const isUsed = [...counts.keys()].some((name) => name !== 'CPUExecutionProvider');
  const name = `nodes that make floats, run on ${provider}`;
  return { name, passed: isUsed, difference: null, detail: taken.join(', ') };
}

function refuseOtherBase(base: Model, stamp: ReadStamp): void {
  const [sought, found] = [stamp['ipgraft.base'], fingerprint(base.file)];
  if (found === sought) return;
  throw new IpgraftError(
    'VERIFY_OTHER_BASE',
    `${base.source.name}: sought the base with fingerprint ${sought}, found ${found}`,
    { sought, found },
  );
}

/** What differs from the base beside the edits stays when they are undone, and the fingerprint shows it. */
async function undo(patched: OpenedModel): Promise<Check> {
  const name = 'the edits undone, the base';
  try {
    await restoreBase(patched);
    return { name, passed: true, difference: null, detail: 'the fingerprint is the base’s' };
  } catch (error) {
    if (!(error instanceof IpgraftError)) throw error;
    return { name, passed: false, difference: null, detail: `${error.code}: ${error.message}` };
  }
}

/** Where the mean of the values is scaled too, what is left at scale 0 is the rounding of `V − μ`. */
const MEAN_ROUNDING = 1e-5;

/** What the adapter switched off gives. */
interface Off {
  readonly check: Check;
  readonly outputs: Outputs;
  /** Whether that is to be what the base gives: a merged LoRA stays. */
  readonly isBase: boolean;
  /** How far it may be off, relative to the largest number. */
  readonly limit: number;
}

async function checkOff(
  session: Session,
  { off }: ImageInputs,
  expected: Outputs,
  stamp: ReadStamp,
  tolerance: number,
): Promise<Off> {
  const name = 'the adapter off, the base’s numbers';
  const options = stamp['ipgraft.options'];
  const isBase = !('tokens' in options) || (options.loraScale ?? 0) === 0;
  if (off === null) {
    const detail = 'the scale is baked in and the image is projected inside: a caller cannot switch it off';
    const check = { name, passed: null, difference: null, detail };
    return { check, outputs: expected, isBase, limit: tolerance };
  }
  const outputs = await session.run(off.feeds);
  const { difference, relative } = worstOf(expected, outputs);
  if (!isBase) {
    const detail = `off by ${off.by}, a LoRA stays merged in the weights: this is what it does`;
    return { check: { name, passed: null, difference, detail }, outputs, isBase, limit: tolerance };
  }
  const rounds = 'embedsScaling' in options && options.embedsScaling.includes('mean');
  const limit = rounds ? Math.max(tolerance, MEAN_ROUNDING) : tolerance;
  const allowed = limit === 0 ? 'bit for bit' : `relative ${relative.toPrecision(2)}, limit ${limit}`;
  const detail = `off by ${off.by}, ${allowed}`;
  return { check: { name, passed: relative <= limit, difference, detail }, outputs, isBase, limit };
}

function checkOn(expected: Outputs, on: Outputs): Check {
  const { difference } = worstOf(expected, on);
  return {
    name: 'the adapter on, other numbers',
    passed: difference > 0 && Number.isFinite(difference),
    difference,
    detail: 'image tokens of seeded numbers',
  };
}

async function warnOfTextAlone(
  session: Session,
  { textAlone }: ImageInputs,
  expected: Outputs,
  stamp: ReadStamp,
): Promise<string> {
  const [input, total] = [stamp['ipgraft.input'], tokensBehindText(stamp)];
  const length = textAlone[input]!.dims[1]!;
  return `${input} carries the text and then ${total} image tokens; a caller that brings ${length} text tokens alone ${await lossOf()}.`;

  async function lossOf(): Promise<string> {
    try {
      const { difference } = worstOf(expected, await session.run(textAlone));
      return `loses the last ${total} of them: on these inputs the result is off by ${difference.toPrecision(2)}`;
    } catch (error) {
      if (!(error instanceof IpgraftError)) throw error;
      return 'is refused by the model';
    }
  }
}
