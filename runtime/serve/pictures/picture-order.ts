import type { PictureLimits, PictureRequest } from '../../pipeline/request.js';

/** What is served of pictures at most. */
export interface ServedLimits extends Pick<PictureLimits, 'steps' | 'pictures' | 'prompt'> {
  /** Of one picture, width by height. */
  readonly pixels: number;
}

/** An image as it came, looked at but not decoded: that takes memory, which only what runs may have. */
export interface EncodedImage {
  /** The field that it came in, for messages. */
  readonly field: string;
  readonly bytes: Uint8Array;
}

/** What one adapter is to look at. */
export interface EncodedLook {
  readonly images: readonly EncodedImage[];
  readonly masks: readonly EncodedImage[];
}

/** A request for pictures, checked, its images as they came. */
export interface PictureOrder {
  /** Without images: those below take their place. */
  readonly request: PictureRequest;
  readonly initImage: EncodedImage | undefined;
  readonly mask: EncodedImage | undefined;
  /** One for each of `request.adapters`. */
  readonly looks: readonly EncodedLook[];
}
