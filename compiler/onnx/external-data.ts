import { IpgraftError } from '../errors.js';
import { checkLocation, type ModelFolder } from '../io/model-folder.js';
import type { StoredSegment } from '../wire/rope.js';
import type { Graph } from './graph.js';
import type { ExternalData } from './tensor-header.js';

/** A tensor whose data lies outside the model file. */
interface ExternalTensor {
  readonly name: string;
  readonly external: ExternalData;
}

/** Among initializers, constants, and both within subgraphs. */
function externalTensors({ initializers, nodes }: Graph): ExternalTensor[] {
  const found: ExternalTensor[] = [];
  const add = (name: string, { external }: { readonly external: ExternalData | null }) => {
    if (external !== null) found.push({ name, external });
  };
  for (const tensor of initializers.values()) add(tensor.name, tensor);
  for (const node of nodes) for (const tensor of node.tensors()) add(node.label, tensor);
  return found;
}

/**
 * Checks that every external tensor lies inside an existing file of the folder, and answers with these files. Reads sizes only.
 * @throws IpgraftError `MODEL_EXTERNAL_ESCAPES`, `MODEL_EXTERNAL_MISSING`, `MODEL_EXTERNAL_TRUNCATED`
 */
export async function checkExternalData(graph: Graph, folder: ModelFolder): Promise<string[]> {
  const sizes = new Map<string, number>();
  const tensors = externalTensors(graph);
  for (const location of new Set(tensors.map(({ external }) => external.location))) {
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
  for (const tensor of tensors) checkRange(tensor, sizes.get(tensor.external.location)!);
  return [...sizes.keys()];
}

/** The bytes that a tensor names outside its model. @throws IpgraftError `MODEL_EXTERNAL_*` */
export async function externalSegment(
  folder: ModelFolder,
  { location, offset, length }: ExternalData,
): Promise<StoredSegment> {
  const source = await folder.open(location);
  return { kind: 'stored', length: length ?? source.size - offset, source, offset };
}

function checkRange({ name, external }: ExternalTensor, size: number): void {
  const { offset, length, location } = external;
  const numbers =
    Number.isSafeInteger(offset) &&
    offset >= 0 &&
    (length === null || (Number.isSafeInteger(length) && length >= 0));
  const end = offset + (length ?? 0);
  if (numbers && end <= size) return;
  throw new IpgraftError(
    'MODEL_EXTERNAL_TRUNCATED',
    `${name} needs bytes ${offset} to ${end} of ${location}, which has ${size}`,
    { tensor: name, location, sought: end, found: size },
  );
}
