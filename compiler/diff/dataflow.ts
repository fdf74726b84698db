import type { Node, ValueName } from '../onnx/node.js';
import type { Body } from './body.js';

/** One reading of a value: which node, by number, and as which of its inputs. */
export interface Reading {
  readonly node: number;
  readonly input: number;
}

/** Who makes and who reads each value of a body; nodes by their number. */
export class Dataflow {
  readonly nodes: readonly Node[];
  private readonly makers = new Map<ValueName, { readonly node: number; readonly output: number }>();
  private readonly readers = new Map<ValueName, Reading[]>();

  constructor({ nodes }: Body) {
    this.nodes = nodes;
    nodes.forEach((each, node) => {
      each.outputs.forEach((value, output) => {
        if (value !== '') this.makers.set(value, { node, output });
      });
      each.inputs.forEach((value, input) => {
        if (value === '') return;
        const readings = this.readers.get(value);
        if (readings === undefined) this.readers.set(value, [{ node, input }]);
        else readings.push({ node, input });
      });
    });
  }

  /** `undefined` for an input, an initializer or a value from around the body. */
  maker(value: ValueName): { readonly node: number; readonly output: number } | undefined {
    return this.makers.get(value);
  }

  readings(value: ValueName): readonly Reading[] {
    return this.readers.get(value) ?? [];
  }
}
