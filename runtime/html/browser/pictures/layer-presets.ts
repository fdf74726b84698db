import { findPlace, type Place } from '../../../../passes/checkpoint-order.js';
import { layerWeights, WEIGHT_TYPES, type WeightType } from '../../../../passes/weight-types.js';
import type { ServedAdapter } from './served.js';

/** A cross-attention with its place in the UNet. */
export interface PlacedLayer {
  readonly id: number;
  readonly path: string;
  readonly place: Place;
  /** Its place in checkpoint order. */
  readonly index: number;
}

/** The layers of an adapter that have a place in a UNet's blocks. */
export function placedLayers({ layers }: ServedAdapter): PlacedLayer[] {
  return layers.flatMap(({ id, path }, index) => {
    const place = findPlace(path);
    return place === undefined ? [] : [{ id, path, place, index }];
  });
}

/** A named distribution of the scale over the layers. */
export interface LayerPreset {
  readonly name: WeightType;
  /** What each layer gets of the scale, in checkpoint order. */
  readonly shares: readonly number[];
}

/**
 * The weight types of ComfyUI_IPAdapter_plus that scales alone can say: those that push layers away from the image need tokens of their own.
 * For an architecture that they do not know, none but `linear`.
 */
export function layerPresets(adapter: ServedAdapter): LayerPreset[] {
  const layers = placedLayers(adapter);
  const linear: LayerPreset = { name: 'linear', shares: adapter.layers.map(() => 1) };
  if (layers.length < adapter.layers.length) return [linear];
  try {
    return WEIGHT_TYPES.flatMap((name) => {
      const weights = layerWeights({ name }, layers);
      const isScale = [...weights.values()].every(({ swapped }) => !swapped);
      return isScale ? [{ name, shares: layers.map(({ id }) => weights.get(id)!.factor) }] : [];
    });
  } catch {
    return [linear];
  }
}
