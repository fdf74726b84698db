import { type Journal, type JournalEntry, parseJournal } from '../edit/journal.js';
import { netJournal } from '../edit/net-journal.js';
import { IpgraftError } from '../errors.js';
import { fingerprint } from '../fingerprint.js';
import type { Graph } from '../onnx/graph.js';
import { sealOf } from '../seal.js';
import { type StampKeys, strip } from '../strip.js';
import { parseWeightsPlace } from '../weights-place.js';
import { LARGE } from '../wire/load-sparse.js';
import type { OnCompared } from './compare-data.js';
import { compareInserted } from './compare-inserted.js';
import type { ComparedModel } from './compare-models.js';
import { INSIDE, placeIn } from './compare-tensor.js';
import type { Aspect, Change, ModelDiff, Proof } from './model-diff.js';

/**
 * Holds what differs between a base and a model that says it was made of it against the edits that it declares: every change must be one
 * of them and every one of them there, what they inserted must be as it was written, and undoing them must give the base, byte for byte. With the graph
 * that compiling the base again gives, what was inserted is held against that too, tensor data included.
 * `null` where B declares nothing, or A is a patched model itself.
 */
export async function prove(
  a: ComparedModel,
  b: ComparedModel,
  { changes }: ModelDiff,
  keys: StampKeys,
  recomputed: Graph | null = null,
  onCompared?: OnCompared,
): Promise<Proof | null> {
  const stored = b.graph.metadata.get(keys.journal);
  if (stored === undefined || a.graph.metadata.has(keys.journal)) return null;
  const faults: string[] = [];
  const journal = await attempt(faults, () => parseJournal(stored));
  const declared = new Map(
    netJournal(a.graph, journal ?? []).map((entry) => [JSON.stringify(entry), entry] as const),
  );
  const place = await attempt(faults, () => weightsPlace(b, keys));
  const explained = new Map<JournalEntry['kind'], number[]>();
  const unexplained: number[] = [];
  const seen = new Set<string>();
  changes.forEach((change, i) => {
    const entries = entriesOf(change, { a, b, keys, weights: place ?? null });
    if (entries?.every((entry) => declared.has(JSON.stringify(entry))) !== true) {
      unexplained.push(i);
      return;
    }
    for (const entry of entries) {
      seen.add(JSON.stringify(entry));
      const list = explained.get(entry.kind);
      if (list === undefined) explained.set(entry.kind, [i]);
      else if (list.at(-1) !== i) list.push(i);
    }
  });
  for (const [key, entry] of declared)
    if (!seen.has(key)) faults.push(`declared and not there: ${describeEntry(entry)}`);
  await checkSeal(b, journal ?? [], keys, faults);
  await attempt(faults, async () => checkUndo(a, b, keys, faults));
  const open: string[] = [];
  if (recomputed === null) open.push(...uncompared(b, journal ?? []));
  else {
    if (recomputed.metadata.get(keys.journal) !== stored) faults.push('compiling again makes other edits');
    faults.push(...(await compareInserted(recomputed, b, journal ?? [], onCompared)));
  }
  return {
    holds: faults.length === 0 && unexplained.length === 0,
    source: recomputed === null ? 'journal' : 'recomputed',
    edits: declared.size,
    explained: [...explained].map(([edit, indices]) => ({ edit, changes: indices })),
    unexplained,
    faults,
    open,
  };
}

/** Of what large tensors hold the seal knows nothing. */
function uncompared({ graph }: ComparedModel, journal: Journal): string[] {
  const large = journal.flatMap((entry) => {
    if (entry.kind !== 'insert-initializer') return [];
    const tensor = graph.initializers.get(entry.name);
    const length = tensor?.external?.length ?? tensor?.raw?.length ?? 0;
    return tensor?.external !== null || length >= LARGE ? [length] : [];
  });
  if (large.length === 0) return [];
  const bytes = large.reduce((sum, length) => sum + length, 0);
  return [
    `the data of ${large.length} inserted tensors, ${bytes} bytes, was not compared with the adapter’s: give the adapter`,
  ];
}

/** Runs what may find that the file says nonsense, and notes that. */
async function attempt<T>(faults: string[], work: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof IpgraftError)) throw error;
    faults.push(`${error.code}: ${error.message}`);
    return undefined;
  }
}

function weightsPlace({ graph }: ComparedModel, keys: StampKeys): string | null {
  const text = graph.metadata.get(keys.weights);
  return text === undefined ? null : parseWeightsPlace(text).location;
}

/** The edits that would make a change; none for what every stamp brings, `null` for what no edit makes. */
function entriesOf(
  change: Change,
  models: { readonly a: ComparedModel; readonly b: ComparedModel; keys: StampKeys; weights: string | null },
): JournalEntry[] | null {
  if (change.scope !== '') return null;
  const { subject, a, b, aspects } = change;
  const { keys, weights } = models;
  if (b === null) return null;
  const isNew = aspects[0]!.kind === 'added';
  switch (subject) {
    case 'metadata':
      return isNew && b.startsWith(keys.prefix) ? [] : metadataEntries(b, aspects);
    case 'input':
      return isNew ? [{ kind: 'insert-input', name: b }] : resizes(b, aspects, models);
    case 'initializer':
      if (isNew) return [{ kind: 'insert-initializer', name: b }];
      return aspects.every((aspect) => isPlaced(aspect, weights)) ? [] : null;
    case 'node':
      return isNew ? [{ kind: 'insert-node', value: b }] : rewires(a!, aspects);
    default:
      return null;
  }
}

function metadataEntries(key: string, aspects: readonly Aspect[]): JournalEntry[] | null {
  const [aspect] = aspects;
  return aspect?.kind === 'changed'
    ? [{ kind: 'set-metadata', key, from: aspect.from, to: aspect.to }]
    : null;
}

function resizes(
  input: string,
  aspects: readonly Aspect[],
  { a, b }: { readonly a: ComparedModel; readonly b: ComparedModel },
): JournalEntry[] | null {
  const size = (text: string | null) => (text !== null && /^\d+$/.test(text) ? Number(text) : text);
  const entries: JournalEntry[] = [];
  for (const aspect of aspects) {
    const [was, is] = [a, b].map(({ graph }) => graph.inputs.get(input)?.shape);
    if (aspect.kind === 'changed' && aspect.what === 'shape' && was && is) {
      entries.push({ kind: 'set-input-shape', input, from: [...was], to: [...is] });
      continue;
    }
    const axis = aspect.kind === 'changed' ? /^dimension (\d+)$/.exec(aspect.what)?.[1] : undefined;
    if (aspect.kind !== 'changed' || axis === undefined) return null;
    const { from, to } = aspect;
    entries.push({ kind: 'set-input-dimension', input, axis: Number(axis), from: size(from), to: size(to) });
  }
  return entries;
}

function rewires(node: string, aspects: readonly Aspect[]): JournalEntry[] | null {
  const entries: JournalEntry[] = [];
  for (const aspect of aspects) {
    if (aspect.kind !== 'rewired') return null;
    const { input, from, to } = aspect;
    entries.push({ kind: 'rewire', node, input, from, to });
  }
  return entries;
}

/** Weights that lie where the stamp says, and are equal in every byte. */
function isPlaced(aspect: Aspect, weights: string | null): boolean {
  return (
    aspect.kind === 'moved' &&
    aspect.what === 'data' &&
    aspect.from === INSIDE &&
    weights !== null &&
    String(aspect.to).startsWith(placeIn(weights))
  );
}

async function checkSeal(
  { graph }: ComparedModel,
  journal: Journal,
  keys: StampKeys,
  faults: string[],
): Promise<void> {
  const sought = graph.metadata.get(keys.seal);
  if (sought === undefined) {
    faults.push('the model bears no seal: what was inserted cannot be held against what was written');
    return;
  }
  const found = await sealOf(graph, journal, keys.prefix, keys.seal);
  if (found !== sought)
    faults.push('what was inserted, or what the model says of it, is not what was written');
}

async function checkUndo(
  a: ComparedModel,
  b: ComparedModel,
  keys: StampKeys,
  faults: string[],
): Promise<void> {
  const [sought, found] = [b.graph.metadata.get(keys.base), fingerprint(a.file)];
  if (sought !== found) faults.push(`made of a base with fingerprint ${sought}, this one has ${found}`);
  await strip(b, b.folder, keys);
}

function describeEntry(entry: JournalEntry): string {
  const { kind, ...facts } = entry;
  return `${kind} ${Object.values(facts).join(' ')}`;
}
