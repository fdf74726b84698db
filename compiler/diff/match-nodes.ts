import type { ValueName } from '../onnx/node.js';
import { bytesKey } from './content-keys.js';
import { type Compared, contexts, FARTHEST } from './contexts.js';
import type { Reading } from './dataflow.js';

/**
 * Which node of B is which of A, by number; −1 where there is none. Nodes that are equal in every byte come first. From them, and from
 * `values` (inputs that are known to be the same), matches spread along the dataflow: what makes the same input of matched nodes, and what
 * reads the same value, is the same if it computes the same and there is no choice. Where there is one, the wider context decides; then,
 * among equals, the order of the file. What is left computes something else, and is matched by its place, then by name.
 * Linear in nodes and readings but for the rounds of choosing, which are bounded.
 */
export function matchNodes(a: Compared, b: Compared, values: ReadonlyMap<ValueName, ValueName>): Int32Array {
  const matcher = new Matcher(a, b);
  matcher.anchorEqualBytes();
  for (const [from, to] of values) matcher.spreadDown(from, to);
  matcher.spread();
  matcher.choose();
  matcher.matchPlaces();
  matcher.matchNames();
  matcher.matchPlaces();
  return matcher.toB;
}

/** How often choices are made from the widest context on: a bound for graphs that were made to be slow. */
const MOST_ROUNDS = 200;

class Matcher {
  readonly toB: Int32Array;
  private readonly toA: Int32Array;
  private readonly a: Compared;
  private readonly b: Compared;
  private readonly queue: [a: number, b: number][] = [];
  /** Matched values with several readers of one kind, which were not told apart yet. */
  private undecided: [a: ValueName, b: ValueName][] = [];

  constructor(a: Compared, b: Compared) {
    this.a = a;
    this.b = b;
    this.toB = new Int32Array(a.flow.nodes.length).fill(-1);
    this.toA = new Int32Array(b.flow.nodes.length).fill(-1);
  }

  /**
   * Nodes of equal bytes, where a neighbour agrees: in graphs whose values are numbered, two nodes may be equal by chance, and then
   * what they read and what reads them is not.
   */
  anchorEqualBytes(): void {
    const places = new Map<string, number>();
    for (const [i, node] of this.b.flow.nodes.entries()) places.set(bytesKey(node.record), i);
    const twins = this.a.flow.nodes.map((node) => places.get(bytesKey(node.record)) ?? -1);
    const hasTwin = (node: number): boolean => twins[node] !== -1;
    this.a.flow.nodes.forEach((node, i) => {
      const twin = twins[i]!;
      if (twin === -1 || !this.areFree(i, twin)) return;
      const neighbours = [
        ...node.inputs.map((value) => this.a.flow.maker(value)?.node),
        ...node.outputs.flatMap((value) => this.a.flow.readings(value).map((reading) => reading.node)),
      ].filter((neighbour) => neighbour !== undefined);
      const isAlone = neighbours.length > 0 && !neighbours.some(hasTwin);
      if (!isAlone) this.match(i, twin);
    });
  }

  /** Follows every match to its neighbours, and theirs. */
  spread(): void {
    for (let pair = this.queue.pop(); pair !== undefined; pair = this.queue.pop()) {
      const [x, y] = [this.a.flow.nodes[pair[0]]!, this.b.flow.nodes[pair[1]]!];
      x.inputs.forEach((value, i) => {
        const other = y.inputs[i];
        if (other !== undefined) this.spreadUp(value, other);
      });
      x.outputs.forEach((value, i) => {
        const other = y.outputs[i];
        if (other !== undefined) this.spreadDown(value, other);
      });
    }
  }

  /** What makes both values, where it computes the same. */
  private spreadUp(x: ValueName, y: ValueName): void {
    const [ours, theirs] = [this.a.flow.maker(x), this.b.flow.maker(y)];
    if (ours === undefined || theirs === undefined || ours.output !== theirs.output) return;
    if (this.areFree(ours.node, theirs.node) && this.computeSame(ours.node, theirs.node))
      this.match(ours.node, theirs.node);
  }

  /** What reads both values, where there is no choice. */
  spreadDown(x: ValueName, y: ValueName): void {
    if (this.decide(x, y, (side, { node, input }) => `${side.contents[node]}.${input}`))
      this.undecided.push([x, y]);
  }

  /**
   * Matches the free readers of two values that are alone in their kind on both sides; answers whether some are left on both.
   */
  private decide(
    x: ValueName,
    y: ValueName,
    kind: (side: Compared, reading: Reading) => string,
    inOrder = false,
  ): boolean {
    const ours = kinds(this.a, x, (reading) => this.toB[reading.node] === -1, kind);
    if (ours.size === 0) return false;
    const theirs = kinds(this.b, y, (reading) => this.toA[reading.node] === -1, kind);
    let isLeft = false;
    for (const [key, mine] of ours) {
      const others = theirs.get(key);
      if (others === undefined) continue;
      if (mine.length !== others.length || (mine.length > 1 && !inOrder)) {
        isLeft = true;
        continue;
      }
      for (const [i, node] of mine.entries())
        if (this.areFree(node, others[i]!)) this.match(node, others[i]!);
    }
    return isLeft;
  }

  /** Where several readers are alike, lets the context decide, the widest first, and starts over with what follows from it. */
  choose(): void {
    if (!this.isOpen()) return;
    const rounds = contexts(this.a, this.b, { a: free(this.toB), b: free(this.toA) });
    const steps = [
      ...rounds
        .map(({ a, b }) => ({ a, b, inOrder: false }))
        .reverse()
        // Beyond its neighbours nothing is known of a node at radius 0.
        .slice(0, FARTHEST),
      { ...rounds[0]!, inOrder: true },
    ];
    let step = 0;
    for (let round = 0; round < MOST_ROUNDS && step < steps.length && this.isOpen(); round++) {
      const { a, b, inOrder } = steps[step]!;
      const before = this.matched;
      if (!inOrder) this.matchUnique(a, b);
      this.decideAll((side, { node, input }) => `${(side === this.a ? a : b)[node]}.${input}`, inOrder);
      this.spread();
      step = this.matched === before ? step + 1 : 0;
    }
  }

  private decideAll(kind: (side: Compared, reading: Reading) => string, inOrder: boolean): void {
    const waiting = this.undecided;
    this.undecided = [];
    for (const [x, y] of waiting) {
      if (this.decide(x, y, kind, inOrder) || !inOrder) this.undecided.push([x, y]);
    }
    this.undecided = this.undecided.filter(([x, y]) => this.hasFreeReaders(x, y));
  }

  private hasFreeReaders(x: ValueName, y: ValueName): boolean {
    return (
      this.a.flow.readings(x).some(({ node }) => this.toB[node] === -1) &&
      this.b.flow.readings(y).some(({ node }) => this.toA[node] === -1)
    );
  }

  /** Free nodes whose color no other free node of their graph has, on both sides. */
  private matchUnique(a: Int32Array, b: Int32Array): void {
    const theirs = new Map<number, number>();
    b.forEach((color, node) => {
      if (this.toA[node] === -1) theirs.set(color, theirs.has(color) ? -1 : node);
    });
    const ours = new Map<number, number>();
    a.forEach((color, node) => {
      if (this.toB[node] === -1) ours.set(color, ours.has(color) ? -1 : node);
    });
    for (const [color, node] of ours) {
      const other = theirs.get(color) ?? -1;
      if (node !== -1 && other !== -1) this.match(node, other);
    }
  }

  /** Free nodes that make a value of one name, or bear one. */
  matchNames(): void {
    if (!this.isOpen()) return;
    const byName = new Map<string, number>();
    this.b.flow.nodes.forEach(({ id, name }, node) => {
      if (this.toA[node] !== -1) return;
      if (name !== '') byName.set(`node ${name}`, node);
      if (id !== '') byName.set(`value ${id}`, node);
    });
    this.a.flow.nodes.forEach(({ id, name, opType }, node) => {
      const other = byName.get(`value ${id}`) ?? byName.get(`node ${name}`);
      if (other === undefined || !this.areFree(node, other)) return;
      // An operator that was exchanged in its place is a change; one of a like name elsewhere is another node.
      const theirs = this.b.flow.nodes[other]!;
      if (theirs.opType === opType || (theirs.id === id && theirs.name === name)) this.match(node, other);
    });
  }

  /** Free nodes between matched ones, with the same operator and other attributes. */
  matchPlaces(): void {
    if (!this.isOpen()) return;
    const operator = (side: Compared, node: number) => side.flow.nodes[node]!.opType;
    const kind = (side: Compared, { node, input }: Reading) => `${operator(side, node)}.${input}`;
    for (let node = 0; node < this.toB.length; node++) {
      if (this.toB[node] !== -1) this.queue.push([node, this.toB[node]!]);
    }
    for (let pair = this.queue.pop(); pair !== undefined; pair = this.queue.pop()) {
      const [x, y] = [this.a.flow.nodes[pair[0]]!, this.b.flow.nodes[pair[1]]!];
      x.inputs.forEach((value, i) => {
        const [ours, theirs] = [this.a.flow.maker(value), this.b.flow.maker(y.inputs[i] ?? '')];
        if (ours === undefined || theirs === undefined || !this.areFree(ours.node, theirs.node)) return;
        if (operator(this.a, ours.node) === operator(this.b, theirs.node)) this.match(ours.node, theirs.node);
      });
      for (const [i, value] of x.outputs.entries()) this.decide(value, y.outputs[i] ?? '', kind);
    }
  }

  private matched = 0;

  private match(node: number, other: number): void {
    this.toB[node] = other;
    this.toA[other] = node;
    this.matched += 1;
    this.queue.push([node, other]);
  }

  private areFree(node: number, other: number): boolean {
    return this.toB[node] === -1 && this.toA[other] === -1;
  }

  private computeSame(node: number, other: number): boolean {
    return this.a.contents[node] === this.b.contents[other];
  }

  private isOpen(): boolean {
    return this.matched < this.toB.length && this.matched < this.toA.length;
  }
}

/** The numbers of the nodes that are not matched. */
function free(matches: Int32Array): number[] {
  return Array.from(matches.keys()).filter((node) => matches[node] === -1);
}

/** Readers of a value by kind, each once. */
function kinds(
  side: Compared,
  value: ValueName,
  isFree: (reading: Reading) => boolean,
  kind: (side: Compared, reading: Reading) => string,
): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const reading of side.flow.readings(value)) {
    if (!isFree(reading)) continue;
    const key = kind(side, reading);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [reading.node]);
    else group.push(reading.node);
  }
  return groups;
}
