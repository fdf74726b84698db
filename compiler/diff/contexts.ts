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
 * is, names aside. Color refinement, after Weisfeiler and Leman (1968); linear in nodes and readings for each radius.
 */
export function contexts(a: Compared, b: Compared): { a: Int32Array; b: Int32Array }[] {
  const rounds = [{ a: a.contents, b: b.contents }];
  for (let radius = 1; radius <= FARTHEST; radius++) {
    const interner = new Interner();
    const last = rounds.at(-1)!;
    rounds.push({ a: widen(a, last.a, interner), b: widen(b, last.b, interner) });
  }
  return rounds;
}

function widen({ flow, leaf }: Compared, colors: Int32Array, interner: Interner): Int32Array {
  return Int32Array.from(flow.nodes, (node, i) => {
    const above = node.inputs.map((value) => {
      const maker = flow.maker(value);
      return maker === undefined ? leaf(value) : `${colors[maker.node]}.${maker.output}`;
    });
    const below = node.outputs.map((value) => {
      const readers = flow.readings(value).map(({ node: reader, input }) => `${colors[reader]}.${input}`);
      return readers.length === 1 ? readers[0] : readers.sort().join(',');
    });
    return interner.number(`${colors[i]}<${above.join(';')}>${below.join(';')}`);
  });
}
