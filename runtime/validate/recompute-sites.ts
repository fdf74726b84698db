import type { Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import type { OpenedModel } from '../open.js';
import type { Provider } from '../session/load-runtime.js';
import { loadSession, type Values } from '../session/session.js';
import { imageTerm, linear } from './attention-formula.js';
import { compared, type OutNumbers } from './comparison.js';
import { diagnose, diagnoseBehind, diagnoseOut } from './diagnose.js';
import { exposedCopy } from './exposed-copy.js';
import { HoistedKv } from './hoisted-kv.js';
import { type ImageWeights, initializerNumbers } from './image-weights.js';
import type { AdapterOptions, PatchedSite, PatchedSites } from './patched-sites.js';
import type { SecondEngine } from './second-engine.js';
import { type Probe, type SiteValues, siteValues, tensorOf, valuesOf } from './site-formula.js';
import type { Check, SiteNumbers } from './validation.js';

/** What to recompute, with what. */
export interface Recomputing {
  readonly engine: SecondEngine;
  readonly patched: OpenedModel & { readonly path: string };
  readonly options: AdapterOptions;
  readonly found: PatchedSites;
  readonly weights: ImageWeights;
  readonly feeds: Readonly<Record<string, Values>>;
  readonly provider: Provider;
  /** What the relative difference of a site may be at most. */
  readonly limit: number;
}

/** What came of it. */
export interface Recomputed {
  readonly sites: readonly SiteNumbers[];
  readonly checks: readonly Check[];
  readonly probe: Probe;
}

/** How many times the limit an image has to move a site, so that faults show. */
const TELLING = 10;

/** Runs a copy of the patched model that gives what its cross-attentions read and make, and computes each of them anew. */
export async function recomputeSites(
  task: Recomputing,
  alsoExposed: readonly string[] = [],
): Promise<Recomputed> {
  const { engine, patched, found, weights, feeds, provider, options } = task;
  const { graph } = patched;
  const names = new Set([...found.sites.flatMap((site) => valuesOf(graph, site)), ...alsoExposed]);
  const session = await loadSession(await exposedCopy(patched, names), provider);
  let results: Map<string, Values>;
  try {
    results = await session.run(feeds);
  } finally {
    await session.release();
  }
  const hoisted = options.hoist ? new HoistedKv(found, feeds) : null;
  const probe: Probe = { tf: engine.tf, graph, found, weights, hoisted, feeds, results };
  const sites: SiteNumbers[] = [];
  const unknown: string[] = [];
  const weak: string[] = [];
  for (const site of found.sites) {
    const recomputed = typeof site.inputs === 'string' ? site.inputs : await recompute(task, probe, site);
    if (typeof recomputed === 'string') unknown.push(`${site.attention.scope}: ${recomputed}`);
    else {
      const { effect, ...numbers } = recomputed;
      sites.push(numbers);
      if (effect < TELLING * numbers.limit) weak.push(numbers.scope);
    }
  }
  const checks = [
    ...sitesCheck(sites, found, weights),
    ...unknownChecks(unknown, found),
    ...weakChecks(weak),
  ];
  return { sites, checks, probe };
}

/** The numbers of a site, and how much the image moves it, relative as they are. */
interface RecomputedSite extends SiteNumbers {
  readonly effect: number;
}

async function recompute(
  task: Recomputing,
  probe: Probe,
  site: PatchedSite,
): Promise<RecomputedSite | string> {
  const { tf, results } = probe;
  const { limit } = task;
  const { scope, id } = site.attention;
  tf.engine().startScope();
  try {
    const values = await siteValues(probe, site);
    if (typeof values === 'string') return values;
    const expected = expectedSum(tf, probe.found, values);
    const found = results.get(site.sum)!;
    const sum = compared(found.data, expected);
    const out = await outOf(task, probe, site, found);
    const worst = out !== null && out.relative > sum.relative ? out : sum;
    const passed = worst.relative <= limit;
    const why = async () => {
      if (sum.relative <= limit) return diagnoseOut(out!, limit);
      const behind = await outOf(task, probe, site, { dims: found.dims, data: expected });
      return diagnoseBehind(behind, limit) ?? (await diagnose(probe, values, found.data, limit));
    };
    const { difference, relative } = worst;
    const text = (values.text ?? values.modelText).dataSync() as Float32Array;
    const effect = compared(text, expected).relative;
    return {
      ...{ scope, id, passed, difference, relative, limit, effect },
      diagnosis: passed ? null : await why(),
    };
  } finally {
    tf.engine().endScope();
  }
}

/** `Z = Attn(Q, K, V) + Σ λ · m ⊙ Attn(Q, K', V')`, [B, S, h]. */
function expectedSum(
  tf: SecondEngine['tf'],
  { scaling }: PatchedSites,
  { query, heads, text, modelText, terms }: SiteValues,
): Float32Array {
  return tf.tidy(() => {
    const all = [text ?? modelText, ...terms.map((term) => imageTerm(tf, query, term, heads, scaling))];
    return (tf.addN(all) as Tensor3D).dataSync() as Float32Array;
  });
}

/** What to_out makes of a sum, beside what the model has behind it. */
async function outOf(
  { patched }: Recomputing,
  { tf, results }: Probe,
  { out }: PatchedSite,
  sum: Values,
): Promise<OutNumbers | null> {
  if (out === null) return null;
  const weight = await initializerNumbers(patched, out.weight);
  const bias = out.bias === null ? null : await initializerNumbers(patched, out.bias);
  const expected = tf.tidy(() => {
    const turned = tf.transpose(tensorOf<Tensor2D>(tf, weight));
    const shift = bias === null ? null : tf.tensor2d(bias.data, [1, bias.data.length]);
    return linear(tf, tensorOf<Tensor3D>(tf, sum), turned, shift).dataSync() as Float32Array;
  });
  const found = results.get(out.output)!.data;
  return { ...compared(found, expected), found, expected, bias: bias?.data ?? null };
}

function sitesCheck(
  sites: readonly SiteNumbers[],
  { located }: PatchedSites,
  { source }: ImageWeights,
): Check[] {
  if (sites.length === 0) return [];
  const off = sites.filter(({ passed }) => !passed);
  const [worst] = sites.toSorted((a, b) => b.relative - a.relative);
  const names = off.map(({ scope, diagnosis }) => (diagnosis === null ? scope : `${scope}: ${diagnosis}`));
  return [
    {
      name: 'every cross-attention, recomputed',
      passed: off.length === 0,
      difference: worst!.difference,
      detail:
        off.length === 0
          ? `${sites.length} of ${located.attentions.length}, image weights of ${source}; relative ${worst!.relative.toPrecision(2)} at most, limit ${worst!.limit}`
          : names.join('; '),
    },
  ];
}

function unknownChecks(unknown: readonly string[], { sites }: PatchedSites): Check[] {
  const [first, ...more] = unknown;
  const texts = sites.flatMap(({ inputs }) => (typeof inputs === 'string' ? [] : (inputs.textUnknown ?? [])));
  const notRecomputed = (name: string, detail: string): Check => ({
    name,
    passed: null,
    difference: null,
    detail,
  });
  return [
    ...(first === undefined
      ? []
      : [
          notRecomputed(
            `${unknown.length} cross-attentions, not recomputed`,
            more.length === 0 ? first : `${first}, and so on`,
          ),
        ]),
    ...(texts.length === 0
      ? []
      : [
          notRecomputed(
            `the text’s part of ${texts.length} cross-attentions, not recomputed`,
            `${texts[0]}: it is taken as the model has it, and the image’s part is recomputed`,
          ),
        ]),
  ];
}

/** A site at which the image counts for next to nothing holds whatever is done with it. */
function weakChecks(weak: readonly string[]): Check[] {
  if (weak.length === 0) return [];
  const detail = `${weak[0]}: what it adds is smaller than ${TELLING} times the limit, a fault would not show`;
  return [
    {
      name: `the image’s part of ${weak.length} cross-attentions, telling`,
      passed: null,
      difference: null,
      detail,
    },
  ];
}
