/** Number types of a checkpoint, in safetensors' words. Little-endian. */
export type CheckpointDtype = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

/** One tensor of a checkpoint: what it is, and its bytes on demand. */
export interface CheckpointTensor {
  readonly name: string;
  readonly dtype: CheckpointDtype;
  readonly shape: readonly number[];
  /** Row-major, contiguous, little-endian bytes; read from the file at each call, into `room` where they fit in it and it is given. */
  read(room?: Uint8Array): Promise<Uint8Array>;
}

/** A checkpoint file as named tensors. Opening one reads names and shapes, no weights, and executes nothing. */
export interface Checkpoint {
  readonly format: 'safetensors' | 'torch';
  /** Flat names: nested dictionaries of a `.bin` are joined with dots (`image_proj.proj.weight`). */
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
}
