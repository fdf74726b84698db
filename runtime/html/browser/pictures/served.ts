import { askFor } from '../serve/ask-for.js';

/** One adapter of a served pipeline. */
export interface ServedAdapter {
  readonly name: string;
  readonly family: string | null;
  /** How many images it reads. */
  readonly images: number;
  /** Whether it takes pictures; else what an encoder gave, alone. */
  readonly encoder: boolean;
  /** Who says how strongly it counts: `layers` a number each, `one` a number for all, `fixed` the model. */
  readonly scale: string;
  readonly default: number;
  /** Its cross-attentions in checkpoint order. */
  readonly layers: readonly { readonly path: string; readonly id: number }[];
}

/** A pipeline that the server has, with what it can do. */
export interface ServedPipeline {
  readonly kind: 'sd' | 'sdxl';
  /** Its own size in pixels. */
  readonly width: number;
  readonly height: number;
  /** Width and height are multiples of it. */
  readonly multiple: number;
  readonly schedulers: readonly string[];
  /** Its own. */
  readonly scheduler: string;
  readonly inpainting: boolean;
  readonly init_images: boolean;
  readonly masks: boolean;
  /** What one request may ask for: pixels of one picture, steps, pictures, characters of a prompt. */
  readonly limits: Readonly<Record<'pixels' | 'steps' | 'pictures' | 'prompt', number>>;
  readonly adapters: readonly ServedAdapter[];
}

/** Pipelines by name. Fails as {@link askFor} does. */
export async function askPipelines(token: string | undefined): Promise<ReadonlyMap<string, ServedPipeline>> {
  const { data } = await (await askFor('v1/models', token)).json();
  return new Map(data.map(({ id, pipeline }: { id: string; pipeline: ServedPipeline }) => [id, pipeline]));
}
