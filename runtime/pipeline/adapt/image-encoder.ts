import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { IpgraftError } from '../../../compiler/errors.js';
import type { Adapter } from '../../../passes/adapter/adapter.js';
import { encoderOf } from '../../../passes/adapter/encoder.js';
import type { ImageProjection } from '../../../passes/adapter/image-projection.js';
import { type OpenedModel, openModel } from '../../open.js';
import type { EncoderWanted } from '../folder/adaptation.js';
import { type Component, type ModelComponent, readComponent, requiredModel } from '../folder/component.js';
import { type VisionConfig, visionConfig } from '../folder/component-config.js';
import { lastButOne } from '../hidden-states.js';

/** An image encoder whose model is open. */
export interface OpenedEncoder {
  readonly component: ModelComponent;
  readonly model: OpenedModel;
  readonly config: VisionConfig | null;
}

/** What an encoder gives that an adapter reads. */
export interface Embedding {
  /** The output of its model. */
  readonly output: string;
  /** `null` where neither the model nor its configuration says it. */
  readonly width: number | null;
}

/** What transformers calls the pooled embedding. */
const POOLED = 'image_embeds';

/** Opens the encoder of a component. @throws IpgraftError `MODEL_*`, `WIRE_*` */
export async function openEncoder(component: ModelComponent): Promise<OpenedEncoder> {
  const config = visionConfig(component);
  return { component, model: await openModel(component.model), config };
}

/**
 * The component at a path: a folder with an encoder, or its ONNX file, with what describes it beside.
 * @throws IpgraftError `OPTION_FILE_MISSING`, `MODEL_FOLDER_*`
 */
export async function encoderComponent(path: string): Promise<ModelComponent> {
  let real: string;
  let isFile: boolean;
  try {
    real = await realpath(path);
    isFile = (await stat(real)).isFile();
  } catch (cause) {
    throw new IpgraftError(
      'OPTION_FILE_MISSING',
      `${path} cannot be read: there is no such file or folder`,
      { file: path },
      { cause },
    );
  }
  const folder = isFile ? dirname(real) : real;
  const name = basename(folder);
  const component: Component = (await readComponent(dirname(folder), name))!;
  return isFile ? { ...component, model: real } : requiredModel(new Map([[name, component]]), name);
}

/** What an adapter wants of an image encoder; `null` when it reads a face embedding alone. */
export function encoderWanted(projection: ImageProjection): EncoderWanted | null {
  const encoder = encoderOf(projection);
  if (projection.family === 'faceid' || encoder?.of === 'face') return null;
  return { reads: projection.reads, width: projection.embeddingWidth, encoder: encoder?.name ?? null };
}

/** Which encoder gives what an adapter reads, and by which output of its model. */
export interface EncoderUse {
  readonly encoder: OpenedEncoder;
  readonly output: string;
}

/**
 * The first encoder that gives what each adapter reads; `null` for one that reads none, and for all when there is no encoder.
 * @throws IpgraftError `ADAPTER_ENCODER` when there are encoders and none fits
 */
export function encodersFor(
  adapters: readonly Adapter[],
  encoders: readonly OpenedEncoder[],
): (EncoderUse | null)[] {
  return adapters.map((adapter) => {
    const wanted = encoderWanted(adapter.projection);
    if (wanted === null || encoders.length === 0) return null;
    for (const encoder of encoders) {
      const given = embeddingOf(encoder, wanted.reads);
      if (given !== null && (given.width ?? wanted.width) === wanted.width)
        return { encoder, output: given.output };
    }
    throw misfit(adapter, wanted, encoders);
  });
}

/** Refuses an encoder that was given for nothing. @throws IpgraftError `ADAPTER_ENCODER` */
export function refuseIdleEncoders(
  encoders: readonly OpenedEncoder[],
  uses: readonly (EncoderUse | null)[],
): void {
  const idle = encoders.find((encoder) => !uses.some((use) => use?.encoder === encoder));
  if (idle === undefined) return;
  const { name } = idle.component;
  throw new IpgraftError(
    'ADAPTER_ENCODER',
    `${name} gives ${offerOf(idle)}: sought an encoder that an adapter reads and no other gives`,
    { encoder: name },
  );
}

function misfit(
  { name, projection }: Adapter,
  { width, reads }: EncoderWanted,
  encoders: readonly OpenedEncoder[],
): IpgraftError {
  const encoder = encoderOf(projection);
  const sought = `${reads === 'pooled' ? POOLED : 'the last but one hidden states'} of width ${width}`;
  const found = encoders.map((each) => `${each.component.name}: ${offerOf(each)}`);
  return new IpgraftError(
    'ADAPTER_ENCODER',
    `${name} reads ${sought}${encoder === null ? '' : ` (${encoder.name})`}; found ${found.join('; ')}`,
    { adapter: name, width, reads, found },
    encoder === null ? {} : { hint: `Give its encoder with --image-encoder: ${encoder.published}.` },
  );
}

/** What an encoder gives, for a message. */
function offerOf(encoder: OpenedEncoder): string {
  const given = (['pooled', 'hidden'] as const).flatMap((reads) => {
    const embedding = embeddingOf(encoder, reads);
    return embedding === null ? [] : [`${embedding.output} of width ${embedding.width ?? 'unknown'}`];
  });
  const outputs = [...encoder.model.graph.outputs.keys()].slice(0, 4).join(', ');
  return given.length > 0
    ? given.join(', ')
    : `the outputs ${outputs}, none of them an embedding of the image`;
}

/** The output that carries the pooled embedding, or the last but one hidden states; `null` where there is none. */
export function embeddingOf(
  { model, config }: Pick<OpenedEncoder, 'model' | 'config'>,
  reads: 'pooled' | 'hidden',
): Embedding | null {
  const { outputs } = model.graph;
  const output =
    reads === 'pooled'
      ? outputs.has(POOLED)
        ? POOLED
        : null
      : lastButOne([...outputs.keys()], config?.layers ?? null);
  if (output === null) return null;
  const last = outputs.get(output)!.shape?.at(-1);
  const said = reads === 'pooled' ? config?.projectionWidth : config?.hiddenWidth;
  return { output, width: typeof last === 'number' ? last : (said ?? null) };
}

/** The files of an encoder that are to be copied: its model, its data files, and what describes it, by their names in its folder. */
export function encoderFiles({ component, model }: OpenedEncoder): { name: string; path: string }[] {
  const folder = dirname(component.model);
  const beside = ['config.json', 'preprocessor_config.json'].filter((name) => component.files.includes(name));
  return [...beside, ...model.dataFiles, basename(component.model)].map((name) => ({
    name,
    path: join(folder, name),
  }));
}
