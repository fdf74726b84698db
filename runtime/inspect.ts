import { parseJournal } from '../compiler/edit/journal.js';
import { dataTypeName } from '../compiler/onnx/data-type.js';
import type { Dimension, ValueInfo } from '../compiler/onnx/value-info.js';
import { encoderOf } from '../passes/adapter/encoder.js';
import { type LocateOptions, locateCrossAttention } from '../passes/locate-cross-attention.js';
import { JOURNAL_KEY, METADATA_PREFIX } from '../passes/stamp-metadata.js';
import { type OpenedAdapter, type OpenedModel, openAdapter, openModel, openSource } from './open.js';

interface Value {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly Dimension[] | null;
}

/** What `inspect` says of a model. */
export interface ModelDescription {
  readonly kind: 'model';
  readonly file: string;
  readonly bytes: number;
  readonly irVersion: number;
  readonly opsets: Readonly<Record<string, number>>;
  readonly nodes: number;
  readonly initializers: number;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** Metadata of ipgraft, if it was patched; without the journal, which `journal` counts. */
  readonly patched: Readonly<Record<string, string>> | null;
  readonly journal: number;
  readonly textInput: string | null;
  readonly crossAttentions: readonly {
    readonly id: number;
    readonly scope: string;
    readonly source: string;
    readonly width: number;
    readonly textWidth: number;
    readonly type: string;
    readonly cone: number;
  }[];
}

/** What `inspect` says of an adapter. */
export interface AdapterDescription {
  readonly kind: 'adapter';
  readonly file: string;
  readonly format: string;
  readonly family: string;
  readonly tokens: number;
  readonly tokenWidth: number;
  readonly reads: 'pooled' | 'hidden';
  readonly embeddingWidth: number;
  /** Which encoder gives that, where a published adapter reads the like. */
  readonly encoder: string | null;
  /** Width of the face embedding that is read beside it; `null` where none is. */
  readonly faceWidth: number | null;
  /** How many Linears of the UNet a LoRA changes. */
  readonly lora: number;
  readonly sha256: string;
  readonly layers: readonly {
    readonly id: number;
    readonly shape: readonly number[];
    readonly dtype: string;
  }[];
}

/**
 * Says what a file is. A model without cross-attentions is described all the same when it was patched; otherwise it is refused, because
 * nothing can be grafted into it.
 * @throws IpgraftError of the family that fits the file
 */
export async function inspect(
  path: string,
  options: LocateOptions = {},
): Promise<ModelDescription | AdapterDescription> {
  if (await looksLikeCheckpoint(path)) {
    const adapter = await openAdapter(path);
    await adapter.close();
    return describeAdapter(adapter);
  }
  const model = await openModel(path);
  try {
    return describeModel(model, options);
  } finally {
    await model.close();
  }
}

/** A zip archive (torch), a JSON header behind eight bytes (safetensors), or a bare pickle. */
async function looksLikeCheckpoint(path: string): Promise<boolean> {
  const { source } = await openSource(path);
  const head = await source.read(0, Math.min(9, source.size));
  await source.close();
  // A header shorter than 4 GiB: an ONNX file may have a brace as its ninth byte, but no zeros in front of it.
  const safetensors = head[8] === 0x7b && head.subarray(4, 8).every((byte) => byte === 0);
  return (head[0] === 0x50 && head[1] === 0x4b) || safetensors || head[0] === 0x80;
}

function describeModel(model: OpenedModel, options: LocateOptions): ModelDescription {
  const { graph } = model;
  const stamp = Object.fromEntries(
    [...graph.metadata].filter(([key]) => key.startsWith(METADATA_PREFIX) && key !== JOURNAL_KEY),
  );
  const isPatched = graph.metadata.has(JOURNAL_KEY);
  const located = isPatched ? null : locateCrossAttention(graph, options);
  return {
    kind: 'model',
    file: model.source.name,
    bytes: model.source.size,
    irVersion: graph.irVersion,
    opsets: Object.fromEntries(
      [...graph.opsetImports].map(([domain, version]) => [domain || 'ai.onnx', version]),
    ),
    nodes: graph.nodes.length,
    initializers: graph.initializers.size,
    inputs: [...graph.inputs.values()].map(describeValue),
    outputs: [...graph.outputs.values()].map(describeValue),
    patched: isPatched ? stamp : null,
    journal: isPatched ? parseJournal(graph.metadata.get(JOURNAL_KEY)!).length : 0,
    textInput: located?.textInput ?? null,
    crossAttentions: (located?.attentions ?? []).map(
      ({ id, scope, source, width, textWidth, dataType, cone }) => ({
        id,
        scope,
        source,
        width,
        textWidth,
        type: dataType,
        cone: cone.length,
      }),
    ),
  };
}

function describeValue({ name, dataType, shape }: ValueInfo): Value {
  return { name, type: dataTypeName(dataType), shape };
}

function describeAdapter(adapter: OpenedAdapter): AdapterDescription {
  const { name, format, projection, tokens, tokenWidth, sha256, layers, lora } = adapter;
  return {
    kind: 'adapter',
    file: name,
    format,
    family: projection.family,
    tokens,
    tokenWidth,
    reads: projection.reads,
    embeddingWidth: projection.embeddingWidth,
    encoder: encoderOf(projection),
    faceWidth: projection.faceWidth,
    lora: lora.length,
    sha256,
    layers: layers.map(({ id, key }) => ({ id, shape: key.shape, dtype: key.dtype })),
  };
}
