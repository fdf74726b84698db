import type { Initializer } from '../onnx/initializer.js';
import type { Node, ValueName } from '../onnx/node.js';
import type { ValueInfo } from '../onnx/value-info.js';

/** Inputs of A by those of B: by name, and where that leaves one of a type and rank on either side, that one. */
export function matchInputs(a: readonly ValueInfo[], b: readonly ValueInfo[]): Map<ValueName, ValueName> {
  const theirs = new Set(b.map(({ name }) => name));
  const pairs = new Map(a.filter(({ name }) => theirs.has(name)).map(({ name }) => [name, name]));
  const left = (inputs: readonly ValueInfo[]) => {
    const byKind = new Map<string, ValueName[]>();
    for (const { name, dataType, shape } of inputs) {
      if (pairs.has(name)) continue;
      const kind = `${dataType}[${shape?.length ?? '?'}]`;
      byKind.set(kind, [...(byKind.get(kind) ?? []), name]);
    }
    return byKind;
  };
  const others = left(b);
  for (const [kind, names] of left(a)) {
    const candidates = others.get(kind) ?? [];
    if (names.length === 1 && candidates.length === 1) pairs.set(names[0]!, candidates[0]!);
  }
  return pairs;
}

/**
 * Initializers of A by those of B: one alike of the same name that no other claims; else what most of the matched nodes read in the same place, equal names before others; what no matched
 * node reads, by name.
 */
export function matchInitializers(
  nodes: readonly (readonly [a: Node, b: Node])[],
  a: ReadonlyMap<ValueName, Initializer>,
  b: ReadonlyMap<ValueName, Initializer>,
): Map<ValueName, ValueName> {
  const votes = new Map<ValueName, Map<ValueName, number>>();
  for (const [x, y] of nodes) {
    x.inputs.forEach((from, i) => {
      const to = y.inputs[i] ?? '';
      if (!a.has(from) || !b.has(to)) return;
      let forIt = votes.get(from);
      if (forIt === undefined) {
        forIt = new Map();
        votes.set(from, forIt);
      }
      forIt.set(to, (forIt.get(to) ?? 0) + 1);
    });
  }
  const ballots = [...votes].flatMap(([from, forIt]) =>
    [...forIt].map(([to, count]) => ({ from, to, count: from === to ? count + 0.5 : count })),
  );
  ballots.sort((left, right) => right.count - left.count);
  const pairs = new Map<ValueName, ValueName>();
  const taken = new Set<ValueName>();
  const pair = (from: ValueName, to: ValueName) => {
    if (pairs.has(from) || taken.has(to)) return;
    pairs.set(from, to);
    taken.add(to);
  };
  // What nobody claims under its own name was left behind: its readers read something new.
  const claimed = new Set(ballots.flatMap(({ from, to }) => (from === to ? [] : [to])));
  for (const [name, tensor] of a) {
    const other = b.get(name);
    if (other !== undefined && !claimed.has(name) && isAlike(tensor, other)) pair(name, name);
  }
  for (const { from, to } of ballots) pair(from, to);
  for (const name of a.keys()) if (b.has(name)) pair(name, name);
  return pairs;
}

function isAlike(a: Initializer, b: Initializer): boolean {
  return a.dataType === b.dataType && `${a.dims}` === `${b.dims}`;
}
