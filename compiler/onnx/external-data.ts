import { IpgraftError } from '../errors.js';
import { checkLocation, type ModelFolder } from '../io/model-folder.js';
import type { Graph } from './graph.js';
import type { Initializer } from './initializer.js';
import type { ExternalData } from './tensor-header.js';

/** The files that a graph's initializers name. */
export function externalLocations(graph: Graph): Set<string> {
  const locations = new Set<string>();
  for (const { external } of graph.initializers.values())
    if (external !== null) locations.add(external.location);
  return locations;
}

/**
 * Checks that every external tensor lies inside an existing file of the folder. Reads sizes only.
 * @throws IpgraftError `MODEL_EXTERNAL_ESCAPES`, `MODEL_EXTERNAL_MISSING`, `MODEL_EXTERNAL_TRUNCATED`
 */
export async function checkExternalData(graph: Graph, folder: ModelFolder): Promise<void> {
  const sizes = new Map<string, number>();
  for (const location of externalLocations(graph)) {
    checkLocation(location);
    const size = await folder.size(location);
    if (size === null) {
      throw new IpgraftError(
        'MODEL_EXTERNAL_MISSING',
        `sought the model's data file ${location} beside it, found none`,
        { location },
      );
    }
    sizes.set(location, size);
  }
  for (const tensor of graph.initializers.values()) {
    if (tensor.external !== null) checkRange(tensor, tensor.external, sizes.get(tensor.external.location)!);
  }
}

function checkRange(tensor: Initializer, external: ExternalData, size: number): void {
  const { offset, length, location } = external;
  const numbers =
    Number.isSafeInteger(offset) &&
    offset >= 0 &&
    (length === null || (Number.isSafeInteger(length) && length >= 0));
  const end = offset + (length ?? 0);
  if (numbers && end <= size) return;
  throw new IpgraftError(
    'MODEL_EXTERNAL_TRUNCATED',
    `${tensor.name} needs bytes ${offset} to ${end} of ${location}, which has ${size}`,
    { tensor: tensor.name, location, sought: end, found: size },
  );
}
