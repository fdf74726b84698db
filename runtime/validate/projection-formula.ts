import type { Tensor, Tensor2D, Tensor3D } from '@tensorflow/tfjs';
import type { Adapter } from '../../passes/adapter/adapter.js';
import type { ImageProjection } from '../../passes/adapter/image-projection.js';
import type { Values } from '../session/session.js';
import { attention, linear } from './attention-formula.js';
import { numbersOf } from './image-weights.js';
import type { TensorFlow } from './second-engine.js';

/** PyTorch's default. */
const EPSILON = 1e-5;
/** `dim_head` of every published Resampler. */
const HEAD_WIDTH = 64;

/** What a projection reads: embeddings [B, E] or features [B, N, E], and for FaceID-Plus the face's embedding [B, F]. */
export interface Embeddings {
  readonly image: Values;
  readonly face: Values | null;
}

/**
 * The image tokens [B, T, C] that an adapter's projection makes, computed from its checkpoint.
 *
 * Source: `ImageProjModel`, `MLPProjModel` (ip_adapter.py), `Resampler` (resampler.py), `MLPProjModel` and `ProjPlusModel`
 * (ip_adapter_faceid.py) of tencent-ailab/IP-Adapter, line by line, and not the graph that this project writes.
 */
export async function projectedTokens(
  tf: TensorFlow,
  { projection, tokens, tokenWidth }: Adapter,
  { image, face }: Embeddings,
): Promise<Values> {
  const parameters = new Map<string, Values>();
  for (const [name, tensor] of projection.tensors) parameters.set(name, await numbersOf(tensor));
  const data = tf.tidy(() => {
    const modules = new Modules(tf, parameters);
    const asFeatures = (values: Values, features: number): Tensor3D =>
      tf.tensor3d(values.data, [
        values.data.length / features / values.dims.at(-1)!,
        features,
        values.dims.at(-1)!,
      ]);
    const cut = (x: Tensor3D): Tensor3D => tf.reshape(x, [x.shape[0], tokens, tokenWidth]);
    const pooled = () => asFeatures(image, 1);
    const hidden = () => asFeatures(image, image.dims.at(-2)!);
    switch (projection.family) {
      case 'base':
        return modules.norm(cut(modules.linear(pooled(), 'proj')), 'norm').dataSync();
      case 'full-face':
        return modules.norm(modules.mlp(hidden(), 'proj.0', 'proj.2'), 'proj.3').dataSync();
      case 'faceid':
        return modules.norm(cut(modules.mlp(pooled(), 'proj.0', 'proj.2')), 'norm').dataSync();
      case 'plus': {
        const features = hidden();
        const latents = tf.tile(modules.get<Tensor3D>('latents'), [features.shape[0], 1, 1]);
        return modules.resampler(latents, features, '').dataSync();
      }
      case 'faceid-plus': {
        const id = modules.norm(cut(modules.mlp(asFeatures(face!, 1), 'proj.0', 'proj.2')), 'norm');
        const read = modules.resampler(id, hidden(), 'perceiver_resampler.');
        return shortcut(tf, projection, id, read).dataSync();
      }
    }
  }) as Float32Array;
  return { dims: [data.length / tokens / tokenWidth, tokens, tokenWidth], data };
}

/** `id_embeds + scale * out` in version 2, `out` in version 1. */
function shortcut(tf: TensorFlow, { shortcut }: ImageProjection, id: Tensor3D, read: Tensor3D): Tensor3D {
  return shortcut === null ? read : tf.add(id, tf.mul(read, shortcut));
}

/** PyTorch's modules over the parameters of a checkpoint, by their names. */
class Modules {
  private readonly tf: TensorFlow;
  private readonly parameters: ReadonlyMap<string, Values>;

  constructor(tf: TensorFlow, parameters: ReadonlyMap<string, Values>) {
    this.tf = tf;
    this.parameters = parameters;
  }

  get<T extends Tensor>(name: string): T {
    const { dims, data } = this.parameters.get(name)!;
    return this.tf.tensor(data, [...dims]) as T;
  }

  linear(x: Tensor3D, name: string): Tensor3D {
    const bias = this.parameters.get(`${name}.bias`);
    const shift = bias === undefined ? null : this.tf.tensor2d(bias.data, [1, bias.data.length]);
    return linear(this.tf, x, this.get<Tensor2D>(`${name}.weight`), shift);
  }

  norm(x: Tensor3D, name: string): Tensor3D {
    const { mean, variance } = this.tf.moments(x, -1, true);
    const normal = this.tf.div(this.tf.sub(x, mean), this.tf.sqrt(this.tf.add(variance, EPSILON)));
    return this.tf.add(this.tf.mul(normal, this.get(`${name}.weight`)), this.get(`${name}.bias`));
  }

  /** Linear, GELU with the error function, Linear. */
  mlp(x: Tensor3D, first: string, second: string): Tensor3D {
    const inner = this.linear(x, first);
    const gate = this.tf.mul(this.tf.add(this.tf.erf(this.tf.div(inner, Math.SQRT2)), 1), 0.5);
    return this.linear(this.tf.mul(inner, gate), second);
  }

  resampler(start: Tensor3D, input: Tensor3D, prefix: string): Tensor3D {
    const { tf } = this;
    const features = this.linear(input, `${prefix}proj_in`);
    let latents = start;
    for (let layer = 0; this.parameters.has(`${prefix}layers.${layer}.0.to_q.weight`); layer++) {
      const module = `${prefix}layers.${layer}`;
      latents = tf.add(this.perceiver(features, latents, `${module}.0`), latents);
      latents = tf.add(
        this.mlp(this.norm(latents, `${module}.1.0`), `${module}.1.1`, `${module}.1.3`),
        latents,
      );
    }
    return this.norm(this.linear(latents, `${prefix}proj_out`), `${prefix}norm_out`);
  }

  /** `PerceiverAttention`: latents read features and themselves. */
  private perceiver(features: Tensor3D, latents: Tensor3D, module: string): Tensor3D {
    const { tf } = this;
    const x = this.norm(features, `${module}.norm1`);
    const own = this.norm(latents, `${module}.norm2`);
    const query = this.linear(own, `${module}.to_q`);
    const [key, value] = tf.split(this.linear(tf.concat([x, own], 1) as Tensor3D, `${module}.to_kv`), 2, 2);
    const heads = query.shape[2] / HEAD_WIDTH;
    return this.linear(attention(tf, query, key as Tensor3D, value as Tensor3D, heads), `${module}.to_out`);
  }
}
