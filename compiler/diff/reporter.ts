import { Cursor } from '../wire/cursor.js';
import { WIRE } from '../wire/fields.js';
import type { Rope } from '../wire/rope.js';
import type { OtherRecord } from './body.js';
import type { Aspect, Change, Subject } from './model-diff.js';
import { outOfOrder } from './positions.js';

/** What a comparison adds to. */
export interface Findings {
  readonly changes: Change[];
  /** How many records were compared, by subject: those without a change are equal in every byte. */
  readonly compared: Map<Subject, number>;
}

/** How things of one kind are named, described and compared. */
export interface Comparing<T> {
  name(item: T): string;
  label(item: T): string;
  compare(a: T, b: T): Aspect[] | Promise<Aspect[]>;
}

/** What stands in another place and means the same. */
const ORDERLESS: ReadonlySet<Subject> = new Set(['value', 'metadata', 'opset', 'function']);

/** Collects what differs within one scope. */
export class Reporter {
  private readonly scope: string;
  private readonly findings: Findings;

  constructor(scope: string, findings: Findings) {
    this.scope = scope;
    this.findings = findings;
  }

  /** Compares lists of things of one kind, given which is which: `pairs` in A's order. */
  async all<T>(
    subject: Subject,
    a: readonly T[],
    b: readonly T[],
    pairs: readonly (readonly [a: T, b: T])[],
    { name, label, compare }: Comparing<T>,
  ): Promise<void> {
    const before = new Map(a.map((item, place) => [item, place]));
    const after = new Map(b.map((item, place) => [item, place]));
    const moved = ORDERLESS.has(subject)
      ? new Set<number>()
      : outOfOrder(pairs.map(([, item]) => after.get(item)!));
    for (const [i, [x, y]] of pairs.entries()) {
      const aspects = [...(await compare(x, y))];
      if (moved.has(i))
        aspects.push({ kind: 'moved', what: 'position', from: before.get(x)!, to: after.get(y)! });
      this.add(subject, name(x), name(y), label(x), aspects);
    }
    const paired = new Set(pairs.flat());
    for (const item of a) {
      if (!paired.has(item)) this.add(subject, name(item), null, label(item), [{ kind: 'removed' }]);
    }
    for (const item of b) {
      if (!paired.has(item)) this.add(subject, null, name(item), label(item), [{ kind: 'added' }]);
    }
  }

  /** Compares records of which only the bytes count, by the number of their field. */
  async rest(
    a: readonly OtherRecord[],
    b: readonly OtherRecord[],
    same: (a: Rope, b: Rope) => Promise<boolean>,
    names: Readonly<Record<number, string>> = {},
  ): Promise<void> {
    const of = (records: readonly OtherRecord[], number: number) =>
      records.filter((record) => record.number === number && record.content.length > 0);
    for (const number of new Set([...a, ...b].map((record) => record.number))) {
      const [ours, theirs] = [of(a, number), of(b, number)];
      let isSame = ours.length === theirs.length;
      for (const [i, { content }] of ours.entries()) isSame &&= await same(content, theirs[i]!.content);
      const what = names[number] ?? `field ${number}`;
      const [from, to] = [summary(ours), summary(theirs)];
      this.add('model', what, what, '', isSame ? [] : [{ kind: 'changed', what: 'value', from, to }]);
    }
  }

  /** Notes one compared thing, and how it differs where it does. */
  add(subject: Subject, a: string | null, b: string | null, label: string, aspects: readonly Aspect[]): void {
    const { compared, changes } = this.findings;
    compared.set(subject, (compared.get(subject) ?? 0) + 1);
    if (aspects.length > 0) changes.push({ subject, a, b, label, scope: this.scope, aspects });
  }
}

const LONGEST = 80;

/** What records say, where they are a number or short text; else how many bytes. */
function summary(records: readonly OtherRecord[]): string | null {
  const [first] = records;
  if (first === undefined) return null;
  const { bytes } = first.content;
  if (records.length === 1 && bytes !== undefined) {
    if (first.wireType === WIRE.VARINT) return String(new Cursor(bytes).signedVarint());
    const text = new TextDecoder().decode(bytes);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what holds one is no text.
    if (bytes.length <= LONGEST && !/[\x00-\x1f\ufffd]/.test(text)) return text;
  }
  return `${records.reduce((sum, { content }) => sum + content.length, 0)} bytes`;
}
