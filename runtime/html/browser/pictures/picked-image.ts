/** An image that the reader gave, in memory alone. */
export interface PickedImage {
  /** Of its file; given to what has none. */
  readonly name: string;
  readonly blob: Blob;
  /** For `src`, good as long as the page. */
  readonly url: string;
  /** In pixels. */
  readonly width: number;
  readonly height: number;
}

/** What both the server and browsers read. */
export const IMAGE_TYPES = 'image/png,image/jpeg,image/webp,image/avif,image/gif';

/** Takes an image. What no browser shows it refuses in words. */
export async function pickImage(blob: Blob, name: string): Promise<PickedImage> {
  const url = URL.createObjectURL(blob);
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(url);
    throw new Error(`${name} is no image that this browser can show.`);
  }
  return { name, blob, url, width: image.naturalWidth, height: image.naturalHeight };
}

/** How many images came from the clipboard. */
let pasted = 0;

/** The images that were pasted: they are all called `image.png`, and get names of their own. */
export function imagesIn(clipboard: DataTransfer | null): readonly File[] {
  const images = [...(clipboard?.files ?? [])].filter(({ type }) => type.startsWith('image/'));
  return images.map((file) => {
    pasted++;
    return new File([file], `pasted-${pasted}.${file.type.replace(/^image\//, '')}`, { type: file.type });
  });
}

/** Its bytes in base64. */
export async function base64Of({ blob }: PickedImage): Promise<string> {
  const reader = new FileReader();
  const read = new Promise((resolve) => reader.addEventListener('loadend', resolve));
  reader.readAsDataURL(blob);
  await read;
  return (reader.result as string).replace(/^[^,]*,/, '');
}
