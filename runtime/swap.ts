import { parseJournal } from '../compiler/edit/journal.js';
import { revert } from '../compiler/edit/revert.js';
import { IpgraftError } from '../compiler/errors.js';
import { createInitializer, type NewTensor } from '../compiler/onnx/create.js';
import { type DataType, dataTypeName } from '../compiler/onnx/data-type.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Initializer } from '../compiler/onnx/initializer.js';
import type { Segment } from '../compiler/wire/rope.js';
import type { Adapter } from '../passes/adapter/adapter.js';
import { parameterData } from '../passes/adapter/projection-graph.js';
import { projectionsOf } from '../passes/branch.js';
import { graftOf } from '../passes/graft.js';
import { type Located, locateCrossAttention } from '../passes/locate-cross-attention.js';
import { adapterSuffix, imageWeightOf } from '../passes/names.js';
import { ADAPTERS_KEY, JOURNAL_KEY } from '../passes/stamp-metadata.js';
import type { OpenedModel } from './open.js';
import { adaptersStamp, readStamp } from './stamp.js';

/** A patched model with other adapters in it, not written yet. */
export interface SwappedModel {
  readonly opened: OpenedModel;
  readonly graph: Graph;
  readonly adapters: readonly Adapter[];
  /** How many weights are other ones now. */
  readonly tensors: number;
}

/**
 * Puts the weights of other adapters in the place of those in a patched model, without touching its graph: what a compilation
 * of the base with these adapters would give, without the base. Each new adapter must be of the family and the shapes of the
 * one that it replaces.
 * @throws IpgraftError `MODEL_NOT_PATCHED`, `ADAPTER_*`, `OPTION_SWAP`
 */
export function swap(opened: OpenedModel, adapters: readonly Adapter[]): SwappedModel {
  const stamp = readStamp(opened);
  const old = stamp['ipgraft.adapters'];
  const options = stamp['ipgraft.options'];
  if (!('tokens' in options)) throw refuse('this model has no adapter');
  if (options.hoist)
    throw refuse(
      'the keys and values of this model are computed by another one',
      'Compile the base with --hoist again: this model stays as it is, only OUT.kv.onnx changes.',
    );
  if (adapters.length !== old.length)
    throw refuse(`the model has ${old.length} adapters, ${adapters.length} were given`);
  adapters.forEach((adapter, i) => {
    const { name, tokens, family } = old[i]!;
    if (options.loraScale !== undefined || adapter.lora.length > 0)
      throw refuse(
        `${adapter.lora.length > 0 ? adapter.name : name} changes weights of the UNet too`,
        'Get the base back with `ipgraft strip`, and compile it with the new adapter.',
      );
    const found = adapter.projection.family;
    if ((family ?? found) !== found || tokens !== adapter.tokens)
      throw refuse(
        `${name} (${family}, ${tokens} tokens) cannot be replaced by ${adapter.name} (${found}, ${adapter.tokens})`,
      );
  });
  const journal = parseJournal(opened.graph.metadata.get(JOURNAL_KEY)!);
  const inserted = new Set(
    journal.flatMap((entry) => (entry.kind === 'insert-initializer' ? [entry.name] : [])),
  );
  const located = locateCrossAttention(revert(opened.graph, journal), {
    textInput: stamp['ipgraft.input'],
    patterns: options.patterns,
  });
  const initializers = new Map(opened.graph.initializers);
  let tensors = 0;
  adapters.forEach((adapter, i) => {
    for (const [name, data] of weightsOf(adapter, i, located)) {
      const present = initializers.get(name);
      if (present === undefined || !inserted.has(name)) continue;
      initializers.set(name, replaced(present, name, data, adapter));
      tensors += 1;
    }
  });
  const now = adaptersStamp(
    adapters.map((adapter, i) => ({
      name: adapter.name,
      tokens: adapter.tokens,
      images: old[i]!.images,
      adapter,
    })),
  );
  const metadata = new Map(opened.graph.metadata).set(ADAPTERS_KEY, now);
  return { opened, graph: opened.graph.with({ initializers, metadata }), adapters, tensors };
}

/** Every weight that an adapter can bring into a UNet, by the name that it has there. */
function* weightsOf(adapter: Adapter, index: number, located: Located): Iterable<[string, Segment]> {
  const graft = graftOf(adapter, located);
  for (const attention of located.attentions) {
    const weights = { k: graft.weight(attention, 'k'), v: graft.weight(attention, 'v') };
    for (const { which, data } of projectionsOf(attention, weights))
      yield [imageWeightOf(attention.scope, which, index), data];
  }
  for (const name of adapter.projection.tensors.keys())
    yield [`image_proj${adapterSuffix(index)}.${name}`, parameterData(adapter.projection, name).data];
}

function replaced(
  present: Initializer,
  name: string,
  data: Segment,
  { name: adapter }: Adapter,
): Initializer {
  const dataType = dataTypeName(present.dataType) as DataType;
  const length = present.external?.length ?? present.raw?.length ?? null;
  if (length !== data.length)
    throw refuse(`${adapter}: ${name} has ${data.length} bytes, the model's ${length}`);
  const tensor: NewTensor = { name, dataType, dims: present.dims, data };
  return createInitializer(tensor);
}

function refuse(message: string, hint?: string): IpgraftError {
  return new IpgraftError('OPTION_SWAP', message, {}, hint === undefined ? {} : { hint });
}
