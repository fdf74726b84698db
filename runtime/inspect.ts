import { parseJournal } from '../compiler/edit/journal.js';
import { dataTypeName } from '../compiler/onnx/data-type.js';
import type { Dimension, ValueInfo } from '../compiler/onnx/value-info.js';
import type { Adapter } from '../passes/adapter/adapter.js';
import { encoderOf } from '../passes/adapter/encoder.js';
import type { Family } from '../passes/adapter/image-projection.js';
import {
  type CrossAttention,
  type LocateOptions,
  locateCrossAttention,
} from '../passes/locate-cross-attention.js';
import { JOURNAL_KEY, METADATA_PREFIX } from '../passes/stamp-metadata.js';
import { type OpenedAdapter, type OpenedModel, openAdapter, openModel, openSource } from './open.js';

/** A graph input or output. */
export interface Value {
  /** As callers know it. */
  readonly name: string;
  /** Of the elements, as ONNX calls it: `float`, `float16`, `int64`. */
  readonly type: string;
  /** `null` where even the rank is unknown. */
  readonly shape: readonly Dimension[] | null;
}

/** What `inspect` says of a model. */
export interface ModelDescription {
  /** Tells a model from an adapter. */
  readonly kind: 'model';
  /** Its name, without folder. */
  readonly file: string;
  /** Size of the file, without data files beside it. */
  readonly bytes: number;
  /** Version of the file format, as the file says it. */
  readonly irVersion: number;
  /** Version of each operator domain; ONNX's own is `ai.onnx`. */
  readonly opsets: Readonly<Record<string, number>>;
  /** In the main graph. */
  readonly nodes: number;
  /** In the main graph. */
  readonly initializers: number;
  /** Graph inputs, in the order of the file. */
  readonly inputs: readonly Value[];
  /** Graph outputs, in the order of the file. */
  readonly outputs: readonly Value[];
  /** Metadata of ipgraft, if it was patched; without the journal, which `journal` counts. */
  readonly patched: Readonly<Record<string, string>> | null;
  /** How many edits `ipgraft strip` undoes: 0 in a model that was not patched. */
  readonly journal: number;
  /** The graph input with the text states; `null` in a patched model, in which nothing is sought. */
  readonly textInput: string | null;
  /** In checkpoint order. Empty in a patched model. */
  readonly crossAttentions: readonly {
    /** The checkpoint's layer id: 1, 3, 5, …. */
    readonly id: number;
    /** Module path as diffusers names it. */
    readonly scope: string;
    /** Whence that was read. */
    readonly source: CrossAttention['source'];
    /** Of what to_k and to_v give. */
    readonly width: number;
    /** Of the text states that they read. */
    readonly textWidth: number;
    /** In which it computes, as ONNX calls it. */
    readonly type: string;
    /** How many nodes an image branch clones. */
    readonly cone: number;
  }[];
}

/** What `inspect` says of an adapter. */
export interface AdapterDescription {
  /** Tells an adapter from a model. */
  readonly kind: 'adapter';
  /** Its name, without folder. */
  readonly file: string;
  /** Of the file. */
  readonly format: Adapter['format'];
  /** How it makes image tokens. */
  readonly family: Family;
  /** Image tokens per image. */
  readonly tokens: number;
  /** Of an image token: the width of the UNet's text states. */
  readonly tokenWidth: number;
  /** What of the image encoder it reads: the pooled embedding, or the last but one hidden states. */
  readonly reads: 'pooled' | 'hidden';
  /** Width of that. */
  readonly embeddingWidth: number;
  /** Which encoder gives that, where a published adapter reads the like. */
  readonly encoder: string | null;
  /** Width of the face embedding that is read beside it; `null` where none is. */
  readonly faceWidth: number | null;
  /** How many Linears of the UNet a LoRA changes. */
  readonly lora: number;
  /** Of the file. */
  readonly sha256: string;
  /** One for each cross-attention, in checkpoint order. */
  readonly layers: readonly {
    /** 1, 3, 5, …. */
    readonly id: number;
    /** Of to_k_ip.weight: width of the attention, width of a token. */
    readonly shape: readonly number[];
    /** Of to_k_ip.weight, as the checkpoint's format calls it. */
    readonly dtype: string;
  }[];
}

/** What `inspect` says of a file: `kind` tells which of the two it is. */
export type Description = ModelDescription | AdapterDescription;

/**
 * Says what a file is. A model without cross-attentions is described all the same when it was patched; otherwise it is refused, because
 * nothing can be grafted into it.
 * @throws IpgraftError of the family that fits the file
 */
export async function inspect(path: string, options: LocateOptions = {}): Promise<Description> {
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
    encoder: encoderOf(projection)?.name ?? null,
    faceWidth: projection.faceWidth,
    lora: lora.length,
    sha256,
    layers: layers.map(({ id, key }) => ({ id, shape: key.shape, dtype: key.dtype })),
  };
}
