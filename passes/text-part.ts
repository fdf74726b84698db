import type { Edit } from '../compiler/edit/edit.js';
import type { Fragment } from '../compiler/edit/fragment.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Dimension } from '../compiler/onnx/value-info.js';
import { broken } from '../compiler/run-passes.js';
import { TEXT_TOKENS } from './names.js';

const TOKEN_AXIS = 1;

/** Slice's “to the end”. */
export const END = 2 ** 53 - 1;

/** Adds `output` = tokens `from` up to `to` of the text input; negative numbers count from the end. */
export function sliceTokens(
  fragment: Fragment,
  textInput: ValueName,
  from: number,
  to: number,
  options: { name: string; output?: ValueName },
): ValueName {
  const [start, end, axis] = [from, to, TOKEN_AXIS].map((value) => fragment.integers([value])) as [
    string,
    string,
    string,
  ];
  return fragment.node('Slice', [textInput, start, end, axis], options);
}

/**
 * Moves **every** reading of the text input to its text part, all but its last `total` tokens; `Shape` too, since one Shape may
 * carry batch and token count to all blocks. A static token count in the input's declared shape grows by `total`, a symbolic
 * one says so in its name: inner values keep the symbol as the length of the text alone, so the input must not bear it any more.
 */
export function moveToTextPart(graph: Graph, textInput: ValueName, total: number): Edit[] {
  const rewires = graph
    .uses(textInput)
    .map(
      ({ node, input }): Edit => ({ kind: 'rewire', node: node.id, input, from: textInput, to: TEXT_TOKENS }),
    );
  const from = tokenDimension(graph, textInput);
  const to = grow(from, total);
  if (from === to) return rewires;
  return [...rewires, { kind: 'set-input-dimension', input: textInput, axis: TOKEN_AXIS, from, to }];
}

/** Checks what {@link moveToTextPart} promises. @throws IpgraftError `PASS_BROKEN` */
export function ensureMoved(
  pass: string,
  before: Graph,
  after: Graph,
  textInput: ValueName,
  total: number,
): void {
  if (after.uses(textInput).some(({ node }) => node.place !== null))
    throw broken(pass, `a node still reads all of ${textInput}`);
  if (after.uses(TEXT_TOKENS).length !== before.uses(textInput).length)
    throw broken(pass, 'a reading of the text was lost');
  const grown = grow(tokenDimension(before, textInput), total);
  if (tokenDimension(after, textInput) !== grown)
    throw broken(pass, `the token count of ${textInput} did not grow`);
}

function tokenDimension(graph: Graph, textInput: ValueName): Dimension {
  return graph.inputs.get(textInput)?.shape?.[TOKEN_AXIS] ?? null;
}

function grow(dimension: Dimension, total: number): Dimension {
  if (dimension === null) return null;
  return typeof dimension === 'number' ? dimension + total : `${dimension} + ${total}`;
}
