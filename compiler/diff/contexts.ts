import type { ValueName } from '../onnx/node.js';
import { Interner } from './content-keys.js';
import type { Dataflow } from './dataflow.js';

/** Two graphs' dataflow, what each node computes as a number that both share, and what a value is that no node makes. */
export interface Compared {
  readonly flow: Dataflow;
  readonly contents: Int32Array;
  /** Equal texts for what may be the same: a tensor's type and shape, an input's. */
  leaf(value: ValueName): string;
}

/** How far {@link contexts} looks: as far as an attention's branches stay apart. Nodes. */
export const FARTHEST = 6;

/**
 * For each radius from 0 to {@link FARTHEST}, a number for each node of both graphs: equal where everything within the radius
 * is, names aside. True of the nodes that are asked for alone: far from all of them nothing is computed. Color refinement, after
 * Weisfeiler and Leman (1968); linear in nodes and readings for each radius.
 */
export function contexts(
  a: Compared,
  b: Compared,
  wanted: { readonly a: readonly number[]; readonly b: readonly number[] },
): { a: Int32Array; b: Int32Array }[] {
  const near = { a: around(a.flow, wanted.a), b: around(b.flow, wanted.b) };
  const rounds = [{ a: a.contents, b: b.contents }];
  for (let radius = 1; radius <= FARTHEST; radius++) {
    const interner = new Interner();
    const last = rounds.at(-1)!;
    rounds.push({ a: widen(a, last.a, near.a, interner), b: widen(b, last.b, near.b, interner) });
  }
  return rounds;
}

/** The nodes from which one of `nodes` is less than {@link FARTHEST} steps away. */
function around(flow: Dataflow, nodes: readonly number[]): Set<number> {
  const found = new Set(nodes);
  let edge = nodes;
  for (let step = 1; step < FARTHEST; step++) {
    const next: number[] = [];
    const add = (node: number | undefined) => {
      if (node === undefined || found.has(node)) return;
      found.add(node);
      next.push(node);
    };
    for (const node of edge) {
      for (const value of flow.nodes[node]!.inputs) add(flow.maker(value)?.node);
      for (const value of flow.nodes[node]!.outputs)
        for (const { node: reader } of flow.readings(value)) add(reader);
    }
    edge = next;
  }
  return found;
}

function widen(
  { flow, leaf }: Compared,
  colors: Int32Array,
  near: ReadonlySet<number>,
  interner: Interner,
): Int32Array {
  const wider = colors.slice();
  for (const i of near) {
    const node = flow.nodes[i]!;
    const above = node.inputs.map((value) => {
      const maker = flow.maker(value);
      return maker === undefined ? leaf(value) : `${colors[maker.node]}.${maker.output}`;
    });
    const below = node.outputs.map((value) => {
      const readers = flow.readings(value).map(({ node: reader, input }) => `${colors[reader]}.${input}`);
      return readers.length === 1 ? readers[0] : readers.sort().join(',');
    });
    wider[i] = interner.number(`${colors[i]}<${above.join(';')}>${below.join(';')}`);
  }
  return wider;
}
