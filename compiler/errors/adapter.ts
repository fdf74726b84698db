import type { Entry } from './entry.js';

/** What is wrong with a checkpoint. */
export const ADAPTER_ERRORS = {
  ADAPTER_FAMILY_UNKNOWN: {
    when: 'The checkpoint is not an IP-Adapter of a known family.',
    hint: 'docs/adapters.md lists the families and containers that are known.',
  },
  ADAPTER_NOT_FOR_UNET: {
    when: 'The checkpoint is an adapter for another kind of model (SD3, Flux), or of another rule (PuLID).',
    hint: 'ipgraft serves adapters of UNets: ids 1, 3, 5…, no biases, no norm_ip.',
  },
  ADAPTER_LAYERS: {
    when: "The checkpoint's layers are not complete pairs of to_k_ip and to_v_ip with ids 1, 3, 5….",
    hint: 'The file is damaged or converted wrongly: use the published one.',
  },
  ADAPTER_LORA: {
    when: 'A LoRA of a FaceID checkpoint is not a pair of down [r, in] and up [out, r], or does not fit its layer.',
    hint: 'The file is damaged or for another UNet: use the published one.',
  },
  ADAPTER_COUNT: {
    when: 'The adapter has another number of layers than the UNet has cross-attentions.',
    hint: 'The adapter is for another UNet (SD1.5 and SD2.1 have 16 layers, SDXL has 70).',
  },
  ADAPTER_WIDTH: {
    when: "A layer of the adapter has another width than the UNet's cross-attention.",
    hint: 'The adapter is for another UNet: SD1.5 has text width 768, SD2.1 1024, SDXL 2048.',
  },
  ADAPTER_ENCODER: {
    when: 'The image encoder of a pipeline gives something else than what the adapter reads.',
    hint: 'Give the encoder of the adapter with --image-encoder; `ipgraft inspect ADAPTER` names it.',
  },
  ADAPTER_PROJECTION: {
    when: 'The image projection of the checkpoint is incomplete or its shapes disagree.',
    hint: 'The file is damaged or converted wrongly: use the published one.',
  },
  ADAPTER_NOT_A_CHECKPOINT: {
    when: 'The file given as the adapter is something else than a checkpoint.',
    hint: 'Give the weights of the adapter: a .safetensors file, or a .bin or .pt file that torch wrote.',
  },
  ADAPTER_LEGACY_TORCH: {
    when: 'The checkpoint is in a format of torch before 1.6, or a bare pickle.',
    hint: "Save it again with torch 1.6 or later, or use the adapter's .safetensors.",
  },
  ADAPTER_TRUNCATED: {
    when: 'The checkpoint ends before its weights do.',
    hint: 'The download is incomplete: fetch the file again.',
  },
  ADAPTER_SAFETENSORS_MALFORMED: {
    when: 'A .safetensors file breaks the rules of its format.',
    hint: 'The file is damaged: fetch it again.',
  },
  ADAPTER_ZIP_MALFORMED: {
    when: 'A torch checkpoint is not a sound zip archive, or a checksum in it does not hold.',
    hint: 'The file is damaged: fetch it again. If it was saved without checksums (set_crc32_options(False)), save it again with them.',
  },
  ADAPTER_PICKLE_FORBIDDEN: {
    when: 'The pickle of a torch checkpoint names something else than dictionaries and tensors.',
    hint: 'Loading such a file in Python can run code; ipgraft runs none. Use the .safetensors of the adapter, or save a plain state_dict.',
  },
  ADAPTER_PICKLE_MALFORMED: {
    when: 'The pickle of a torch checkpoint cannot be read.',
    hint: 'The file is damaged, or no plain dictionary of tensors: fetch it again, or use the .safetensors of the adapter.',
  },
  ADAPTER_TENSOR_UNSUPPORTED: {
    when: 'A tensor of the checkpoint has a number type, size or byte order that ipgraft does not read.',
    hint: 'Convert the checkpoint to float32, float16 or bfloat16.',
  },
  ADAPTER_TENSOR_RANGE: {
    when: 'A tensor of a torch checkpoint lies outside its storage, or repeats it beyond reason.',
    hint: 'The file is damaged or was made to do harm: use the published one.',
  },
} as const satisfies Record<string, Entry>;
