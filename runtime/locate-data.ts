import { IpgraftError } from '../compiler/errors.js';
import { externalSegment } from '../compiler/onnx/external-data.js';
import type { Segment } from '../compiler/wire/rope.js';
import type { OpenedModel } from './open.js';

/** Where the data of an initializer lies, in the model or in its data files. @throws IpgraftError `MODEL_TYPE_UNSUPPORTED` */
export async function locateData(opened: OpenedModel, name: string): Promise<Segment> {
  const tensor = opened.graph.initializers.get(name)!;
  const [inside] = tensor.raw?.segments ?? [];
  if (inside !== undefined) return inside;
  if (tensor.external === null) {
    throw new IpgraftError(
      'MODEL_TYPE_UNSUPPORTED',
      `${name}: sought raw or external weight data, found neither`,
      { tensor: name },
    );
  }
  return externalSegment(opened.folder, tensor.external);
}
