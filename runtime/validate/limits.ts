import { DATA_TYPE } from '../../compiler/onnx/data-type.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import { isQuantizer } from '../../passes/quantizers.js';
import type { Provider } from '../session/load-runtime.js';

/** How far apart two ways to compute the same may be, relative to the largest value. */
export interface Limits {
  /** One attention, or one image projection, from the same inputs. */
  readonly site: number;
  /** A whole UNet in which sums run in another order. */
  readonly model: number;
}

/** Measured over all fixtures: 1.2e-6 at a site, 1.3e-6 of a projection, 7.4e-7 of a UNet. */
const FLOAT32: Limits = { site: 1e-5, model: 1e-4 };
/** Measured: 1.3e-3 at a site, a little over half a unit in the last of ten bits at either end; 3.9e-4 of a UNet. */
const FLOAT16: Limits = { site: 4e-3, model: 1e-2 };
/** Rounding to integers turns the last bit of a sum into a step of 1/255 of a range; measured: 1.4e-3 of a UNet. */
const QUANTIZED: Pick<Limits, 'model'> = { model: 1e-2 };

/** Limits by the types that a model has inside, several times what was measured on correct models. */
export function limitsOf(graph: Graph, provider: Provider): Limits {
  const hasHalves = [...graph.initializers.values()].some(({ dataType }) => dataType === DATA_TYPE.float16);
  // CUDA multiplies float32 as TF32 unless it is told otherwise, with the ten bits of float16; measured on an H100: 7.5e-4 at a site, 1.5e-3 in float16.
  const limits = hasHalves || provider === 'cuda' ? FLOAT16 : FLOAT32;
  return graph.nodes.some(isQuantizer) ? { ...limits, ...QUANTIZED } : limits;
}
