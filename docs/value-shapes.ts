import type { Edit } from '../compiler/edit/edit.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { ValueName } from '../compiler/onnx/node.js';
import type { Model } from '../compiler/onnx/read-model.js';
import { GRAPH, MODEL } from '../compiler/onnx/schema.js';
import { type Dimension, ValueInfo } from '../compiler/onnx/value-info.js';
import { fields } from '../compiler/wire/fields.js';
import type { CrossAttention } from '../passes/locate-cross-attention.js';
import {
  branchExitOf,
  imageMaskOf,
  imageProjectionOf,
  imageStatesOf,
  imageTokensOf,
  imageWeightOf,
  scaledProjectionOf,
  swappedStatesOf,
  TEXT_TOKENS,
} from '../passes/names.js';

/** A shape in letters: `[B, L, h]`. */
export type Shapes = ReadonlyMap<ValueName, string>;

/**
 * Shapes of one attention's values in the letters that the docs use. B: rows, L: text tokens, S: positions of the query, C: width of
 * the text, h: width of the attention, H: heads, d: width of a head. What the export itself declares; where it says nothing there
 * is no shape.
 */
export function baseShapes(model: Model, textInput: ValueName, { key, width }: CrossAttention): Shapes {
  const declared = innerShapes(model);
  const [rows, tokens] = declared.get(key.output) ?? [];
  const letter = (dimension: Dimension, axis: number, rank: number): string => {
    if (dimension === rows) return 'B';
    if (dimension === tokens) return 'L';
    if (typeof dimension !== 'number') return 'S';
    if (rank === 3) return dimension === width ? 'h' : `${dimension}`;
    return axis === rank - 1 ? 'd' : 'H';
  };
  const shapes = new Map<ValueName, string>([[textInput, '[B, L, C]']]);
  for (const [name, shape] of declared) {
    if (shape.length !== 3 && shape.length !== 4) continue;
    shapes.set(name, inLetters(shape.map((dimension, axis) => letter(dimension, axis, shape.length))));
  }
  return shapes;
}

/**
 * The same for what a pass inserts. T: image tokens, E: width of the encoder's features. A clone has the shape of its
 * base node with T in the place of L, which is what makes it a clone.
 */
export function withInserted(
  shapes: Shapes,
  edits: readonly Edit[],
  after: Graph,
  attention: CrossAttention,
  textInput: ValueName,
): Shapes {
  const { scope, exit } = attention;
  const known = new Map<ValueName, string>([
    ...shapes,
    [TEXT_TOKENS, '[B, L, C]'],
    [imageTokensOf(0), '[B, T, C]'],
    [imageProjectionOf(scope, 'k', 0), '[B, T, h]'],
    [imageProjectionOf(scope, 'v', 0), '[B, T, h]'],
    [imageWeightOf(scope, 'k', 0), '[C, h]'],
    [imageWeightOf(scope, 'v', 0), '[C, h]'],
    [scaledProjectionOf(scope, 'k', 0), '[B, T, h]'],
    [scaledProjectionOf(scope, 'v', 0), '[B, T, h]'],
    [swappedStatesOf(0), '[B, T, C]'],
    [imageStatesOf(0), '[B, T, C]'],
    [imageMaskOf(attention, 0), '[1 or B, S, 1]'],
    ['ip_mask', '[images, 1 or B, H, W]'],
    ['ip_kv', '[B or 1, T, W]'],
    ['ip_scale', '[adapters]'],
    ['ip_hidden_states', '[B or 1, T, C]'],
    ['image_embeds', '[B or 1, E]'],
  ]);
  // Without tokens of their own, what stands for them only gives batch and count.
  if (after.inputs.get('ip_scale')?.shape?.length === 2) {
    known.set('ip_scale', '[B, adapters]');
    known.set('ip_mask', '[B, images, H, W]');
  }
  if (after.inputs.get('timestep')?.shape?.length === 1) known.set('timestep', '[B]');
  if (after.inputs.has('ip_kv')) known.set(imageTokensOf(0), '[B, T, 1]');
  for (const edit of edits) {
    if (edit.kind === 'set-input-dimension' && edit.input === textInput)
      known.set(textInput, '[B, L + T, C]');
    if (edit.kind !== 'insert-node' || !('cloneOf' in edit.node)) continue;
    const ofBase = shapes.get(edit.node.cloneOf);
    if (ofBase !== undefined) known.set(edit.node.outputs[0]!, ofBase.replace('L', 'T'));
  }
  // What is added in front of to_out has the shape of what was there.
  const sum = after.producer(exit.node)!.inputs[exit.input]!;
  if (sum !== exit.value) {
    const whole = shapes.get(exit.value)!;
    for (const name of [sum, ...after.producer(sum)!.inputs]) known.set(name, whole);
    known.set(branchExitOf(scope, 0), whole);
  }
  return known;
}

function inLetters(letters: readonly string[]): string {
  return `[${letters.join(', ')}]`;
}

/** Shapes that the model declares for its inner values, which the compiler itself never needs. */
function innerShapes({ file }: Model): Map<ValueName, readonly Dimension[]> {
  const graphField = fields(file).find((field) => field.number === MODEL.graph)!;
  const graph = file.slice(graphField.payload, graphField.end);
  const shapes = new Map<ValueName, readonly Dimension[]>();
  for (const field of fields(graph)) {
    if (field.number !== GRAPH.valueInfo) continue;
    const value = new ValueInfo(graph.slice(field.payload, field.end), null);
    if (value.shape !== null) shapes.set(value.name, value.shape);
  }
  return shapes;
}
