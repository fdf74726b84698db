import { parseJournal } from './edit/journal.js';
import { revert } from './edit/revert.js';
import { IpgraftError } from './errors.js';
import { fingerprint } from './fingerprint.js';
import type { ByteSource } from './io/byte-source.js';
import type { ModelFolder } from './io/model-folder.js';
import type { Graph } from './onnx/graph.js';
import type { Model } from './onnx/read-model.js';
import { modelMessage } from './onnx/schema.js';
import { writeModel } from './onnx/write-model.js';
import { parseWeightsPlace } from './weights-place.js';
import { sampleWeights } from './weights-sample.js';
import { loadSparse } from './wire/load-sparse.js';
import { Rope } from './wire/rope.js';

/** Metadata keys under which a patched model keeps what it takes to undo it. */
export interface StampKeys {
  readonly prefix: string;
  readonly journal: string;
  readonly base: string;
  /** Where the base's large weights are, when the model names them instead of carrying them: a {@link WeightsPlace} as JSON. */
  readonly weights: string;
  /** The seal of what was inserted. */
  readonly seal: string;
}

/**
 * The base file of a patched model, byte for byte: undoes the journal, drops the stamp, puts weights that were only
 * named back inside, and compares the fingerprint with the base's.
 * @throws IpgraftError `MODEL_NOT_PATCHED`, `EDIT_JOURNAL_MALFORMED`, `EDIT_PRECONDITION`, `VERIFY_BASE_CHANGED`
 */
export async function strip(model: Model, folder: ModelFolder, keys: StampKeys): Promise<Rope> {
  const journal = model.graph.metadata.get(keys.journal);
  if (journal === undefined) {
    throw new IpgraftError(
      'MODEL_NOT_PATCHED',
      `${model.source.name}: sought ${keys.journal} in the model metadata, found none`,
      {
        file: model.source.name,
      },
    );
  }
  let graph = revert(model.graph, parseJournal(journal));
  const base = model.graph.metadata.get(keys.base) ?? '';
  const weights = graph.metadata.get(keys.weights);
  if (weights !== undefined) {
    const place = parseWeightsPlace(weights);
    const source = await folder.open(place.location);
    if (place.isBase) await refuseOtherBase(source, base, place.sample);
    graph = carryWeights(graph, place.location, source);
  }
  const metadata = new Map([...graph.metadata].filter(([key]) => !key.startsWith(keys.prefix)));
  const file = writeModel(model, graph.with({ metadata }));
  refuseDifference(base, fingerprint(file));
  return file;
}

/** Weights that are only named lie in the base file: another file of that name would give another model's weights. */
async function refuseOtherBase(source: ByteSource, base: string, sample: string): Promise<void> {
  const file = await loadAny(source);
  if (file === null) return refuseDifference(base, 'none');
  refuseDifference(base, fingerprint(file));
  const found = await sampleWeights(file);
  if (found === sample) return;
  throw new IpgraftError(
    'VERIFY_BASE_CHANGED',
    `${source.name} has the graph of the base, but other weights`,
    { file: source.name, sought: sample, found },
  );
}

/** A file as a rope, or `null` when it is no protobuf message. */
async function loadAny(source: ByteSource): Promise<Rope | null> {
  try {
    return await loadSparse(source, modelMessage);
  } catch (error) {
    if (error instanceof IpgraftError) return null;
    throw error;
  }
}

function refuseDifference(sought: string, found: string): void {
  if (sought === found) return;
  throw new IpgraftError(
    'VERIFY_BASE_CHANGED',
    `sought the base with fingerprint ${sought}, found ${found}`,
    { sought, found },
  );
}

function carryWeights(graph: Graph, location: string, source: ByteSource): Graph {
  const initializers = new Map(graph.initializers);
  for (const [name, tensor] of graph.initializers) {
    if (tensor.external?.location !== location) continue;
    const { offset, length } = tensor.external;
    initializers.set(
      name,
      tensor.withRawData(new Rope([{ kind: 'stored', length: length!, source, offset }])),
    );
  }
  return graph.with({ initializers });
}
