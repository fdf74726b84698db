import type { DescribedTensor } from '../../../serve/http/openapi/models.js';
import { type ExampleInput, exampleSize } from '../../../serve/protocol/example-request.js';
import { shown } from '../../markup.js';
import { element } from '../elements.js';

/** The name of a free dimension where it has none: each of those is its own. */
function keyOf(input: DescribedTensor, axis: number): string {
  return (input.shape[axis] as string | null) ?? `${input.name}[${axis}]`;
}

/** The sizes that the reader gives to the free dimensions of a model's inputs; dimensions of one name have one size. */
export class Sizes {
  private readonly sizes = new Map<string, number>();

  /** @param before whose sizes are kept where the same dimensions are still there */
  constructor(inputs: readonly DescribedTensor[], before?: Sizes) {
    for (const input of inputs)
      input.shape.forEach((size, axis) => {
        if (typeof size === 'number') return;
        const key = keyOf(input, axis);
        this.sizes.set(key, before?.sizes.get(key) ?? exampleSize(size));
      });
  }

  /** The inputs with a number for each dimension. */
  apply(inputs: readonly DescribedTensor[]): ExampleInput[] {
    return inputs.map((input) => ({
      name: input.name,
      datatype: input.datatype,
      shape: input.shape.map((size, axis) =>
        typeof size === 'number' ? size : this.sizes.get(keyOf(input, axis))!,
      ),
    }));
  }

  /** Fields to change them; none where no dimension is free. */
  fields(onChange: () => void): HTMLElement[] {
    return [...this.sizes].map(([name, size]) => {
      const field = element('input', { type: 'number', min: '0', step: '1', value: `${size}`, required: '' });
      field.addEventListener('input', () => {
        if (!field.checkValidity()) return;
        this.sizes.set(name, field.valueAsNumber);
        onChange();
      });
      return element('label', {}, shown(name), field);
    });
  }
}
