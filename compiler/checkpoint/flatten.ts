import { IpgraftError } from '../errors.js';
import { printable } from '../printable.js';
import type { PickleDict, PickledTensor, PickleValue } from './pickle-value.js';

const MAX_DEPTH = 32;
const MAX_NAME_LENGTH = 1024;

/**
 * A dictionary that holds itself many times over is small in the file and endless when walked, so what is
 * counted is visits, not dictionaries.
 */
const MAX_VISITS = 1_000_000;

/**
 * Tensors of nested dictionaries, by names joined with dots: `{'image_proj': {'proj.weight': t}}` →
 * `image_proj.proj.weight`, in the file's order. Keys that are integers count as their digits. Numbers, strings,
 * None and lists are left out.
 * @param root what the pickle made
 * @param file name for messages
 * @throws IpgraftError `ADAPTER_PICKLE_MALFORMED` for cycles, names that meet, other keys; `ADAPTER_NOT_A_CHECKPOINT` when the root is no dictionary
 */
export function flattenTensors(root: PickleValue, file: string): Map<string, PickledTensor> {
  const malformed = (what: string): never => {
    throw new IpgraftError('ADAPTER_PICKLE_MALFORMED', `${file}: ${what}`, { file });
  };
  const tensors = new Map<string, PickledTensor>();
  const open = new Set<PickleDict>();
  let visits = 0;

  const walk = (dict: PickleDict, prefix: string): void => {
    if (open.has(dict)) malformed('a dictionary contains itself');
    if (open.size === MAX_DEPTH) malformed(`dictionaries are nested deeper than ${MAX_DEPTH}`);
    open.add(dict);
    for (const [key, value] of dict.items) {
      if (++visits > MAX_VISITS) malformed(`more than ${MAX_VISITS} entries`);
      if (typeof value !== 'object' || value === null) continue;
      if (value.kind !== 'dict' && value.kind !== 'tensor') continue;
      if (typeof key !== 'string' && typeof key !== 'number')
        malformed('a key is neither a string nor a number');
      const name = `${prefix}${key}`;
      if (name.length > MAX_NAME_LENGTH) malformed(`a name is longer than ${MAX_NAME_LENGTH} characters`);
      if (value.kind === 'dict') {
        walk(value, `${name}.`);
        continue;
      }
      if (tensors.has(name)) malformed(`two tensors have the name ${printable(name)}`);
      tensors.set(name, value);
    }
    open.delete(dict);
  };

  if (typeof root !== 'object' || root?.kind !== 'dict') {
    throw new IpgraftError(
      'ADAPTER_NOT_A_CHECKPOINT',
      `${file}: the file holds something else than a dictionary of tensors`,
      {
        file,
      },
    );
  }
  walk(root, '');
  return tensors;
}
