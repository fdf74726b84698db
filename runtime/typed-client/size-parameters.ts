import type { ClientValue } from './client-model.js';
import { inComment } from './literal.js';
import type { Dimension } from './template/tensor.js';

/** A free size as a type parameter. */
export interface SizeParameter {
  readonly name: string;
  /** The size that it is when nothing is said: another parameter, or any. */
  readonly default: string;
  /** For a comment: what the model calls it. */
  readonly about: string;
}

/** The shapes of a model as types. */
export interface ShapeTypes {
  /** Of the inputs, in the order in which they first appear there. */
  readonly parameters: readonly SizeParameter[];
  /** By the name of an input, as `readonly [BatchSize, 4, Height, Width]`. */
  readonly inputs: ReadonlyMap<string, string>;
  readonly outputs: ReadonlyMap<string, string>;
  /** The parameters that outputs have: a subset. */
  readonly ofOutputs: readonly SizeParameter[];
}

/**
 * Makes types of shapes. A size that is named twice has a parameter for each place: where one is a literal and the other no more than
 * `number`, they may agree, and only two literals can be told to differ.
 * @param taken names that no parameter may have
 */
export function shapeTypes(
  inputs: readonly ClientValue[],
  outputs: readonly ClientValue[],
  taken: ReadonlySet<string>,
): ShapeTypes {
  const names = new Set(taken);
  const parameters: SizeParameter[] = [];
  const firsts = new Map<string, string>();
  const add = (symbol: string, fallback: string, about = symbol): string => {
    const name = uniqueName(symbol, names);
    parameters.push({ name, default: fallback, about: inComment(about) });
    return name;
  };
  // Required inputs first: an optional one that is left out says nothing of its sizes.
  const inOrder = [...inputs].sort((a, b) => Number(a.optional ?? false) - Number(b.optional ?? false));
  for (const { shape } of inOrder)
    for (const size of shape ?? [])
      if (typeof size === 'string' && !firsts.has(size)) firsts.set(size, add(size, 'number'));
  const seen = new Set<string>();
  const typeOf = (size: Dimension): string => {
    if (size === null) return 'number';
    if (typeof size === 'number') return String(size);
    if (typeof size === 'object') {
      const other = firsts.get(size.oneOr) ?? 'number';
      return `OneOr<${add(`image_${size.oneOr}`, other, `1 or ${size.oneOr}`)}, ${other}>`;
    }
    const first = firsts.get(size)!;
    if (!seen.has(size)) {
      seen.add(size);
      return first;
    }
    return `Same<${add(size, first, `${size} again`)}, ${first}>`;
  };
  const tuple = ({ shape }: ClientValue, of: (size: Dimension) => string) =>
    shape === null ? 'readonly number[]' : `readonly [${shape.map(of).join(', ')}]`;
  const inputTypes = new Map(inOrder.map((input) => [input.name, tuple(input, typeOf)]));
  const used = new Set<string>();
  const outputTypes = new Map(
    outputs.map((output) => [
      output.name,
      tuple(output, (size) => {
        const name = typeof size === 'string' ? firsts.get(size) : undefined;
        if (name !== undefined) used.add(name);
        return typeof size === 'number' ? String(size) : (name ?? 'number');
      }),
    ]),
  );
  const ofOutputs = parameters.filter(({ name }) => used.has(name));
  return { parameters, inputs: inputTypes, outputs: outputTypes, ofOutputs };
}

const LONGEST_NAME = 40;

/** `sequence_length + 4` → `SequenceLengthPlus4`; a number behind it where that is taken. */
function uniqueName(symbol: string, names: Set<string>): string {
  const words = symbol.replaceAll('+', ' plus ').match(/[A-Za-z0-9]+/g) ?? [];
  const name = words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('');
  const base = (/^[A-Z]/.test(name) ? name : `Size${name}`).slice(0, LONGEST_NAME);
  let unique = base;
  for (let count = 2; names.has(unique); count++) unique = `${base}${count}`;
  names.add(unique);
  return unique;
}
