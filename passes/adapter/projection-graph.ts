import type { Fragment } from '../../compiler/edit/fragment.js';
import type { ValueName } from '../../compiler/onnx/node.js';
import type { ProducedSegment } from '../../compiler/wire/rope.js';
import { floatTensor } from '../float-tensor.js';
import {
  type Family,
  HEAD_WIDTH,
  type ImageProjection,
  PERCEIVER,
  resamplerDepth,
} from './image-projection.js';
import { weightData } from './linear-weight.js';

export interface ProjectionGraphOptions {
  readonly projection: ImageProjection;
  /** Version of ai.onnx in which to write. */
  readonly opset: number;
  /** What parameter names begin with: `image_proj`. */
  readonly parameters: string;
}

/** What an image projection reads, as values of the graph. */
export interface ProjectionInputs {
  /** [B, E] or [B, N, E]. */
  readonly embeddings: ValueName;
  /** [B, F], for FaceID-Plus. */
  readonly face: ValueName | null;
}

/**
 * Writes an image projection into a fragment, in float32: `embeddings` [B, E] or [B, N, E] → image tokens [B, T, C].
 * float32 whatever the model's type, because the Resampler's inner activations reach ±12,000, past what float16 bears with
 * any precision (tencent-ailab/IP-Adapter, thread 434).
 */
export function projectImage(
  fragment: Fragment,
  inputs: ProjectionInputs,
  options: ProjectionGraphOptions,
): ValueName {
  return FAMILIES[options.projection.family](new Layers(fragment, options), inputs);
}

const FAMILIES: Readonly<Record<Family, (layers: Layers, inputs: ProjectionInputs) => ValueName>> = {
  base,
  'full-face': fullFace,
  plus,
  faceid: (layers, { embeddings }) => faceTokens(layers, embeddings),
  'faceid-plus': faceIdPlus,
};

/** Linear to T·C numbers, cut into T tokens, LayerNorm. Source: `ImageProjModel`. */
function base(layers: Layers, { embeddings }: ProjectionInputs): ValueName {
  return layers.norm(layers.tokens(layers.linear(embeddings, 'proj')), 'norm');
}

/** Linear, GELU, Linear, LayerNorm on each of the encoder's tokens. Source: `MLPProjModel`. */
function fullFace(layers: Layers, { embeddings }: ProjectionInputs): ValueName {
  return layers.norm(layers.linear(layers.gelu(layers.linear(embeddings, 'proj.0')), 'proj.2'), 'proj.3');
}

/** As full-face, but the second Linear makes T tokens of one embedding. Source: `MLPProjModel` of ip_adapter_faceid.py. */
function faceTokens(layers: Layers, face: ValueName): ValueName {
  const numbers = layers.linear(layers.gelu(layers.linear(face, 'proj.0')), 'proj.2');
  return layers.norm(layers.tokens(numbers), 'norm');
}

/** The face's tokens read the image features; in version 2 they are added to what they read. Source: `ProjPlusModel`. */
function faceIdPlus(layers: Layers, { embeddings, face }: ProjectionInputs): ValueName {
  const { shortcut } = layers.options.projection;
  const tokens = faceTokens(layers, face!);
  const read = resampler(layers, embeddings, () => tokens, PERCEIVER);
  if (shortcut === null) return read;
  return layers.op('Add', tokens, shortcut === 1 ? read : layers.op('Mul', read, layers.number(shortcut)));
}

/** Source: `Resampler`. */
function plus(layers: Layers, { embeddings }: ProjectionInputs): ValueName {
  return resampler(layers, embeddings, (features) => layers.latents(features), '');
}

/**
 * T latents that read the image features through attention, layer by layer. Keys and values come from the features
 * **and** the latents, in this order. Source: `Resampler` (resampler.py), after the Perceiver of “Flamingo”.
 */
function resampler(
  layers: Layers,
  x: ValueName,
  begin: (features: ValueName) => ValueName,
  prefix: string,
): ValueName {
  const { tensors } = layers.options.projection;
  const features = layers.linear(x, `${prefix}proj_in`);
  let latents = begin(features);
  for (let i = 0; i < resamplerDepth(tensors, prefix); i++) {
    const part = (name: string) => `${prefix}layers.${i}.${name}`;
    const attended = resamplerAttention(
      layers,
      layers.norm(features, part('0.norm1')),
      layers.norm(latents, part('0.norm2')),
      part,
    );
    latents = layers.op('Add', attended, latents);
    const inner = layers.gelu(layers.linear(layers.norm(latents, part('1.0')), part('1.1')));
    latents = layers.op('Add', layers.linear(inner, part('1.3')), latents);
  }
  return layers.norm(layers.linear(latents, `${prefix}proj_out`), `${prefix}norm_out`);
}

function resamplerAttention(
  layers: Layers,
  features: ValueName,
  latents: ValueName,
  part: (name: string) => string,
): ValueName {
  const { heads } = layers.options.projection;
  const inner = heads * HEAD_WIDTH;
  const both = layers.concat([features, latents], 1);
  const [key, value] = layers.halves(layers.linear(both, part('0.to_kv')), inner);
  const split = (x: ValueName, order: readonly number[]) =>
    layers.transpose(layers.reshape(x, [0, -1, heads, HEAD_WIDTH]), order);
  const query = split(layers.linear(latents, part('0.to_q')), [0, 2, 1, 3]);
  const scores = layers.op('MatMul', query, split(key, [0, 2, 3, 1]));
  const weights = layers.softmax(layers.op('Mul', scores, layers.number(HEAD_WIDTH ** -0.5)));
  const mixed = layers.op('MatMul', weights, split(value, [0, 2, 1, 3]));
  return layers.linear(
    layers.reshape(layers.transpose(mixed, [0, 2, 1, 3]), [0, -1, inner]),
    part('0.to_out'),
  );
}

const NORM_EPSILON = 1e-5;

/** The few layers that image projections are made of, each as ONNX nodes with the checkpoint's weights. */
class Layers {
  readonly options: ProjectionGraphOptions;
  private readonly fragment: Fragment;

  constructor(fragment: Fragment, options: ProjectionGraphOptions) {
    this.fragment = fragment;
    this.options = options;
  }

  op(opType: string, ...inputs: readonly ValueName[]): ValueName {
    return this.fragment.node(opType, inputs);
  }

  /** x · Wᵀ (+ b, when the checkpoint has one). */
  linear(x: ValueName, name: string): ValueName {
    const product = this.op('MatMul', x, this.parameter(`${name}.weight`));
    return this.options.projection.tensors.has(`${name}.bias`)
      ? this.op('Add', product, this.parameter(`${name}.bias`))
      : product;
  }

  /** LayerNorm over the last axis; in its parts before opset 17, which brought the operator. */
  norm(x: ValueName, name: string): ValueName {
    const [weight, bias] = [this.parameter(`${name}.weight`), this.parameter(`${name}.bias`)];
    if (this.options.opset >= 17) {
      const attributes = { axis: -1, epsilon: { float: NORM_EPSILON } };
      return this.fragment.node('LayerNormalization', [x, weight, bias], { attributes });
    }
    const mean = (value: ValueName) =>
      this.fragment.node('ReduceMean', [value], { attributes: { axes: [-1] } });
    const centred = this.op('Sub', x, mean(x));
    const variance = mean(this.op('Mul', centred, centred));
    const deviation = this.op('Sqrt', this.op('Add', variance, this.number(NORM_EPSILON)));
    return this.op('Add', this.op('Mul', this.op('Div', centred, deviation), weight), bias);
  }

  /** The exact GELU, x · ½ (1 + erf(x / √2)). */
  gelu(x: ValueName): ValueName {
    const erf = this.op('Erf', this.op('Div', x, this.number(Math.SQRT2)));
    return this.op('Mul', this.op('Mul', x, this.op('Add', erf, this.number(1))), this.number(0.5));
  }

  softmax(x: ValueName): ValueName {
    return this.fragment.node('Softmax', [x], { attributes: { axis: -1 } });
  }

  /** [B, T · C] → [B, T, C]. */
  tokens(x: ValueName): ValueName {
    const { tokens, tokenWidth } = this.options.projection;
    return this.reshape(x, [-1, tokens, tokenWidth]);
  }

  reshape(x: ValueName, shape: readonly number[]): ValueName {
    return this.op('Reshape', x, this.fragment.integers(shape));
  }

  transpose(x: ValueName, order: readonly number[]): ValueName {
    return this.fragment.node('Transpose', [x], { attributes: { perm: order } });
  }

  concat(values: readonly ValueName[], axis: number): ValueName {
    return this.fragment.node('Concat', values, { attributes: { axis } });
  }

  /** The first and the second `width` columns of the last axis. */
  halves(x: ValueName, width: number): [ValueName, ValueName] {
    const axis = this.fragment.integers([2]);
    const slice = (from: number, to: number) =>
      this.op('Slice', x, this.fragment.integers([from]), this.fragment.integers([to]), axis);
    return [slice(0, width), slice(width, 2 * width)];
  }

  /** The learned latents [1, T, D], once per row of `features`. */
  latents(features: ValueName): ValueName {
    const [zero, one] = [this.fragment.integers([0]), this.fragment.integers([1])];
    const batch = this.op('Slice', this.op('Shape', features), zero, one, zero);
    return this.op('Expand', this.parameter('latents'), this.concat([batch, one, one], 0));
  }

  number(value: number): ValueName {
    return this.fragment.tensor(
      floatTensor(`${this.options.parameters}.float_${value}`, 'float', [], [value]),
    );
  }

  private parameter(name: string): ValueName {
    const { projection, parameters } = this.options;
    return this.fragment.tensor({
      name: `${parameters}.${name}`,
      dataType: 'float',
      ...parameterData(projection, name),
    });
  }
}

/** A parameter of a projection as its graph has it: float32, the matrices of linear layers as [in, out]. */
export function parameterData(
  { tensors }: ImageProjection,
  name: string,
): { dims: readonly number[]; data: ProducedSegment } {
  const tensor = tensors.get(name)!;
  const isMatrix = tensor.shape.length === 2;
  return {
    dims: isMatrix ? tensor.shape.toReversed() : tensor.shape,
    data: weightData(tensor, 'float', isMatrix),
  };
}
