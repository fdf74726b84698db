import { KV_INPUT } from '../../../passes/insert-kv-input.js';
import { adapterSuffix } from '../../../passes/names.js';
import type { ComponentModel } from '../component-model.js';
import type { Graft } from './graft.js';

/** Shapes that only the loaded UNet knows. */
export interface ImageWidths {
  /** Of what adapter `index` takes, without the axis of rows; a free size is 1. */
  tokens(index: number): readonly number[];
  /** The same of its face embedding; `null` where the UNet takes none. */
  face(index: number): readonly number[] | null;
}

/** Reads the shapes of the inputs that a graft added. */
export function imageWidths({ inputs }: ComponentModel, graft: Graft, textWidth: number): ImageWidths {
  const shapeOf = (name: string): readonly number[] | null => {
    const shape = inputs.find((input) => input.name === name)?.shape;
    return shape === undefined ? null : shape.slice(1).map((size) => (size === -1 ? 1 : size));
  };
  return {
    tokens(index) {
      const { tokens, images } = graft.adapters[index]!;
      return shapeOf(`${imageInput(graft)}${adapterSuffix(index)}`) ?? [tokens * images, textWidth];
    },
    face: (index) => shapeOf(`id_embeds${adapterSuffix(index)}`),
  };
}

/** What the input of the first adapter is called. */
export function imageInput({ tokens, hoist }: Graft): string {
  if (hoist) return KV_INPUT;
  return tokens === 'embeds' ? 'image_embeds' : 'ip_hidden_states';
}
