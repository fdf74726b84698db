/** A picture: red, green and blue of each pixel, 0 to 255, row by row. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3]. */
  readonly data: Uint8Array;
}
