import type { ComponentModels } from './component-model.js';
import type { VaeConfig } from './folder/component-config.js';
import type { SchedulerConfig } from './schedulers/config.js';
import type { ClipTokenizer } from './text/clip-tokenizer.js';
import type { Graft } from './unet/graft.js';

/** What a pipeline needs to know of its UNet. */
export interface UnetFacts {
  /** Channels of `sample`: 4, or 9 where it also takes a mask and the masked picture. */
  readonly inChannels: number;
  /** Height and width of the latents that it was trained on. */
  readonly sampleSize: readonly [height: number, width: number];
  /** Latents must be a multiple of it along each side: it halves them so often, and doubles what it has. */
  readonly multiple: number;
  /** Width of `timestep_cond`; `null` where it takes none. */
  readonly timeCondWidth: number | null;
  /** Its input with the text states. */
  readonly textInput: string;
  /** How it takes images; `null` where it takes none. */
  readonly graft: Graft | null;
}

/** How an adapter's images become what the UNet takes. Models by the names that {@link Pipeline.models} has for them. */
export interface ImageProjectionFacts {
  /** Makes tokens of embeddings; `null` where the UNet, or `keysAndValues`, does that itself. */
  readonly projection: string | null;
  /** Makes keys and values of tokens or embeddings, where those were moved out of the UNet. */
  readonly keysAndValues: string | null;
  /** What of the image encoder is read: the pooled embedding or the last but one hidden states; `null` for a face embedding alone. */
  readonly reads: 'pooled' | 'hidden' | null;
  readonly encoder: string;
  /** The encoder's output that is read; `null` where it is to be found by its name. */
  readonly output: string | null;
}

/** A Stable Diffusion pipeline: what its folder says, and its models, loaded when they are needed. */
export interface Pipeline {
  readonly kind: 'sd' | 'sdxl';
  readonly models: ComponentModels;
  /** One, or SDXL's two. */
  readonly tokenizers: readonly ClipTokenizer[];
  readonly scheduler: SchedulerConfig;
  readonly unet: UnetFacts;
  readonly vae: VaeConfig;
  /** SDXL: whether no negative prompt means embeddings of zeros, not those of an empty prompt. */
  readonly zerosForNoPrompt: boolean;
  /** `preprocessor_config.json` of the image encoder; `null` where there is none. */
  readonly imageProcessor: unknown;
  /** One for each adapter of the UNet. */
  readonly projections: readonly ImageProjectionFacts[];
}
