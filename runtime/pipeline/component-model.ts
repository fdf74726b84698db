import type { ModelInterface, ServedInput } from '../serve/backend.js';
import type { Tensor, TensorMetadata } from '../serve/tensor.js';

/** How one run of a component is wanted. */
export interface RunOptions {
  /** Names of the outputs; all when there are none. */
  readonly outputs?: readonly string[];
  /** Gives up when it is aborted: between two runs at the latest. */
  readonly signal?: AbortSignal;
}

/** One model of a pipeline, loaded: in this process, or a served one in processes of its own. */
export interface ComponentModel extends ModelInterface {
  readonly inputs: readonly ServedInput[];
  readonly outputs: readonly TensorMetadata[];
  /** Runs the model. @throws IpgraftError `RUNTIME_RUN`, and what a served model throws */
  infer(inputs: readonly Tensor[], options?: RunOptions): Promise<{ readonly outputs: readonly Tensor[] }>;
}

/** The models of a pipeline, by the name of their folder in diffusers' layout: `unet`, `text_encoder_2`. */
export interface ComponentModels {
  /** Which ones the pipeline has. */
  has(name: string): boolean;
  /**
   * The loaded model; the same one each time. @throws IpgraftError `MODEL_FOLDER_COMPONENT` where the pipeline has none of this name, `RUNTIME_LOAD`
   */
  load(name: string): Promise<ComponentModel>;
}
