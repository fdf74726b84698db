import type { Entry } from './entry.js';

/** What keeps a model from being laid out for another server. */
export const PACKAGE_ERRORS = {
  PACKAGE_TENSOR: {
    when: 'An input or output of a model to package has no shape, or a type that servers do not take.',
    hint: 'Export the model with the shapes of its inputs and outputs, in float, float16 or int64.',
  },
  PACKAGE_TOO_NEW: {
    when: 'A model has a newer opset or IR version than the server loads that it is packaged for.',
    hint: 'Package it for a later release (--target), or export it with an older opset.',
  },
  PACKAGE_NAME: {
    when: 'A model’s name is none, or two models of one package have the same.',
    hint: 'Name each model: --name, once for each, in their order.',
  },
  PACKAGE_BROKEN: {
    when: 'A package that was just written does not hold against its model.',
    hint: 'This is a fault of ipgraft, and nothing was left behind: please report it with the model.',
  },
} as const satisfies Record<string, Entry>;
