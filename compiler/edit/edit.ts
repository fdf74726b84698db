import type { NewInput, NewNode, NewTensor } from '../onnx/create.js';
import type { ValueName } from '../onnx/node.js';
import type { Dimension } from '../onnx/value-info.js';

/** A node that computes what a base node computes, on other values: its attributes travel as raw bytes. */
export interface ClonedNode {
  /** A value that the base node makes. */
  readonly cloneOf: ValueName;
  readonly name: string;
  readonly inputs: readonly ValueName[];
  readonly outputs: readonly ValueName[];
}

/**
 * One atomic change of a graph. Edits name values, never offsets, so they can be printed, kept and undone. `from` is what
 * must be there before, and what comes back when the edit is undone.
 */
export type Edit =
  | {
      readonly kind: 'insert-node';
      readonly node: NewNode | ClonedNode;
      /** Stands right in front of the node that makes this value; `null`: in front of all nodes of the base. */
      readonly before: ValueName | null;
    }
  | {
      readonly kind: 'rewire';
      /** The reading node, by a value that it makes, and which of its inputs. */
      readonly node: ValueName;
      readonly input: number;
      readonly from: ValueName;
      readonly to: ValueName;
    }
  | { readonly kind: 'insert-initializer'; readonly tensor: NewTensor }
  | { readonly kind: 'insert-input'; readonly input: NewInput }
  | {
      readonly kind: 'set-input-dimension';
      readonly input: ValueName;
      readonly axis: number;
      readonly from: Dimension;
      readonly to: Dimension;
    }
  | {
      /** Another rank; what keeps its rank is `set-input-dimension`. */
      readonly kind: 'set-input-shape';
      readonly input: ValueName;
      readonly from: readonly Dimension[];
      readonly to: readonly Dimension[];
    }
  | {
      readonly kind: 'set-metadata';
      readonly key: string;
      readonly from: string | null;
      readonly to: string | null;
    };

/** One line for people. */
export function describe(edit: Edit): string {
  switch (edit.kind) {
    case 'insert-node': {
      const what = 'cloneOf' in edit.node ? `clone of ${edit.node.cloneOf}` : edit.node.opType;
      return `insert node  ${edit.node.name} = ${what}(${edit.node.inputs.join(', ')})`;
    }
    case 'rewire':
      return `rewire       input ${edit.input} of ${edit.node}: ${edit.from} → ${edit.to}`;
    case 'insert-initializer':
      return `insert init  ${edit.tensor.name} ${edit.tensor.dataType}[${edit.tensor.dims.join(',')}]`;
    case 'insert-input':
      return `insert input ${edit.input.name} ${edit.input.dataType}[${edit.input.shape.join(', ')}]`;
    case 'set-input-dimension':
      return `resize input ${edit.input} axis ${edit.axis}: ${edit.from} → ${edit.to}`;
    case 'set-input-shape':
      return `reshape input ${edit.input}: [${edit.from.join(', ')}] → [${edit.to.join(', ')}]`;
    case 'set-metadata':
      return `set metadata ${edit.key}`;
  }
}

/** A shape as JSON, in which a number, a symbol and nothing at all are told apart; `null` where the rank is unknown. */
export function shapeText(shape: readonly Dimension[] | null): string {
  return JSON.stringify(shape);
}
