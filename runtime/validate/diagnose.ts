import type { Tensor3D } from '@tensorflow/tfjs';
import { type ImageTermValues, imageTerm } from './attention-formula.js';
import { compared, type OutNumbers } from './comparison.js';
import { imageKeyValue, type Probe, type SiteValues, scaleOf } from './site-formula.js';

/** What may have been done in the place of the formula, in words, and the image terms that come of it. */
interface Hypothesis {
  readonly what: string;
  readonly terms: readonly ImageTermValues[];
}

/**
 * Says what a patched model does at a site in the place of what it should do: computes one known fault after the other and names the
 * first that gives the model's numbers, within the site's limit. `null`: none does.
 */
export async function diagnose(
  probe: Probe,
  values: SiteValues,
  found: Float32Array,
  limit: number,
): Promise<string | null> {
  const { tf } = probe;
  const { scaling } = probe.found;
  const { query, heads, text, modelText, terms } = values;
  const fits = (parts: readonly Tensor3D[]) => {
    const expected = tf.tidy(() => (tf.addN([...parts]) as Tensor3D).dataSync() as Float32Array);
    return compared(found, expected).relative <= limit;
  };
  const image = (of: readonly ImageTermValues[]) =>
    of.map((term) => imageTerm(tf, query, term, heads, scaling));
  if (text !== null && tf.tidy(() => fits([modelText, ...image(terms)])))
    return 'the text attention is changed';
  for await (const { what, terms: others } of hypotheses(probe, values))
    if (tf.tidy(() => fits([text ?? modelText, ...image(others)]))) return what;
  return null;
}

async function* hypotheses(probe: Probe, values: SiteValues): AsyncIterable<Hypothesis> {
  yield* scaleFaults(probe, values);
  yield* maskFaults(probe, values);
  yield* keyValueFaults(probe, values);
  yield* weightFaults(probe, values);
}

type Change = (term: ImageTermValues, n: number) => ImageTermValues;

/** All streams of image tokens changed alike, and where there are several, one at a time. */
function* changed(what: string, { terms, site }: SiteValues, change: Change): Iterable<Hypothesis> {
  yield { what, terms: terms.map(change) };
  if (terms.length === 1) return;
  for (const [n, { stream }] of site.terms.entries())
    yield {
      what: `${what}, for image tokens ${stream.index + 1} of ${terms.length}`,
      terms: terms.map((term, i) => (i === n ? change(term, i) : term)),
    };
}

function* scaleFaults(probe: Probe, values: SiteValues): Iterable<Hypothesis> {
  const { tf, found } = probe;
  const { site, terms } = values;
  const scaled = (what: string, scale: (before: Tensor3D) => Tensor3D) =>
    changed(what, values, (term) => ({ ...term, scale: scale(term.scale) }));
  yield* scaled('the image attention is not added', (scale) => tf.zerosLike(scale));
  yield* scaled('the scale is ignored', (scale) => tf.onesLike(scale));
  yield* scaled('the scale is applied twice', (scale) => tf.square(scale));
  yield* scaled('the image attention is added twice', (scale) => tf.mul(scale, 2));
  yield* scaled('the image attention is subtracted', (scale) => tf.neg(scale));
  if (found.scale.kind !== 'layers') return;
  for (const { attention } of found.sites)
    yield {
      what: `the scale of id ${attention.id} is taken`,
      terms: terms.map((term, i) => {
        const scales = scaleOf(probe, attention, site.terms[i]!);
        return { ...term, scale: tf.tensor3d(scales, [scales.length, 1, 1]) };
      }),
    };
}

function* maskFaults({ tf }: Probe, values: SiteValues): Iterable<Hypothesis> {
  const { terms, textMask } = values;
  if (terms.some(({ mask }) => mask !== null)) {
    yield* changed('the image’s mask is ignored', values, (term) => ({ ...term, mask: null }));
    for (let shift = 1; shift < terms.length; shift++)
      yield {
        what: 'the masks of the images are in another order',
        terms: terms.map((term, i) => ({ ...term, mask: terms[(i + shift) % terms.length]!.mask })),
      };
  }
  if (textMask === null) return;
  const [rows, heads, queries, length] = textMask.shape;
  for (const fromEnd of [false, true])
    yield* changed('the text’s attention mask is kept in the image attention', values, (term) => {
      const tokens = term.key.shape[1];
      if (tokens > length) return term;
      const begin = fromEnd ? length - tokens : 0;
      return { ...term, scoreMask: tf.slice(textMask, [0, 0, 0, begin], [rows, heads, queries, tokens]) };
    });
}

function* keyValueFaults({ tf }: Probe, values: SiteValues): Iterable<Hypothesis> {
  yield* changed('K′ and V′ are swapped', values, (term) => ({ ...term, key: term.value, value: term.key }));
  yield* changed('the image tokens of another row are taken', values, (term) => ({
    ...term,
    key: tf.reverse(term.key, 0),
    value: tf.reverse(term.value, 0),
  }));
}

/** Weights of another layer, or of another adapter: both, or one of the two. */
async function* weightFaults(probe: Probe, values: SiteValues): AsyncIterable<Hypothesis> {
  const { site, terms, query } = values;
  const adapters = [...new Set(probe.found.streams.map(({ adapter }) => adapter))];
  const alike = probe.found.sites.filter(({ attention }) => attention.width === site.attention.width);
  for (const { attention } of alike)
    for (const adapter of adapters)
      for (const changedAdapter of new Set(site.terms.map(({ stream }) => stream.adapter))) {
        if (attention === site.attention && adapter === changedAdapter) continue;
        const others = await Promise.all(
          site.terms.map((term) =>
            imageKeyValue(
              probe,
              attention,
              { ...term, stream: { ...term.stream, adapter } },
              query.shape[0],
              term.stream,
            ),
          ),
        );
        const isChanged = (n: number) => site.terms[n]!.stream.adapter === changedAdapter;
        const whose = `id ${attention.id}${adapter === changedAdapter ? '' : ` of adapter ${adapter + 1}`}`;
        const whole: Change = (term, n) => {
          const [key, value] = others[n]!;
          return isChanged(n) ? { ...term, key, value } : term;
        };
        yield { what: `the weights of ${whose} are taken`, terms: terms.map(whole) };
        yield {
          what: `to_k_ip of ${whose} is taken`,
          terms: terms.map((term, n) => (isChanged(n) ? { ...term, key: others[n]![0] } : term)),
        };
        yield {
          what: `to_v_ip of ${whose} is taken`,
          terms: terms.map((term, n) => (isChanged(n) ? { ...term, value: others[n]![1] } : term)),
        };
      }
}

/** The same for what to_out makes of the sum. */
export function diagnoseOut({ found, expected, bias }: OutNumbers, limit: number): string | null {
  if (bias === null) return null;
  const shifted = (times: number) => expected.map((value, i) => value + times * bias[i % bias.length]!);
  if (compared(found, shifted(1)).relative <= limit) return 'the bias of to_out is applied twice';
  if (compared(found, shifted(-1)).relative <= limit) return 'the bias of to_out is not applied';
  return null;
}

/** Where the sum lacks the image attention: whether it was added behind to_out. `numbers`: what to_out makes of the whole sum. */
export function diagnoseBehind(numbers: OutNumbers | null, limit: number): string | null {
  if (numbers === null) return null;
  if (numbers.relative <= limit) return 'the image attention is added behind to_out';
  const why = diagnoseOut(numbers, limit);
  return why === null ? null : `the image attention is added behind to_out: ${why}`;
}
