/** Folder and entry in `model_index.json` of what makes an image fit for its encoder. */
export const FEATURE_EXTRACTOR = 'feature_extractor';
/** What configures it. */
export const PREPROCESSOR_FILE = 'preprocessor_config.json';

/**
 * The configuration of CLIP's image processor for images of `size` × `size` pixels: shortest side to that by bicubic interpolation, the centre
 * cut out, divided by 255, normalised.
 *
 * Source: `CLIPImageProcessor` of transformers, which diffusers' `load_ip_adapter` makes with the encoder's `image_size` where a pipeline
 * has none.
 */
export function clipPreprocessor(size: number): object {
  return {
    crop_size: { height: size, width: size },
    do_center_crop: true,
    do_convert_rgb: true,
    do_normalize: true,
    do_rescale: true,
    do_resize: true,
    image_mean: [0.48145466, 0.4578275, 0.40821073],
    image_processor_type: 'CLIPImageProcessor',
    image_std: [0.26862954, 0.26130258, 0.27577711],
    resample: 3,
    rescale_factor: 1 / 255,
    size: { shortest_edge: size },
  };
}
