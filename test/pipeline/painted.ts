import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openCheckpoint } from '../../compiler/checkpoint/open-checkpoint.js';
import { openFile } from '../../compiler/io/file-source.js';
import { unpackFolders } from '../../fixtures/unpack-folders.js';
import { readPipelineFolder } from '../../runtime/pipeline/folder/pipeline-folder.js';
import { type Generated, generate } from '../../runtime/pipeline/generate.js';
import { readEmbeds } from '../../runtime/pipeline/image-prompt/read-embeds.js';
import { readImage } from '../../runtime/pipeline/images/decode-image.js';
import { loadComponent } from '../../runtime/pipeline/load-component.js';
import { openPipeline } from '../../runtime/pipeline/open-pipeline.js';
import { type AdapterPrompt, GENEROUS_LIMITS, pictureRequest } from '../../runtime/pipeline/request.js';
import { ipgraft } from '../command.js';
import { fixturePath, freshFolder } from '../fixtures.js';

/** What one adapter looks at: names of images, masks and embeddings in fixtures/pictures/images. */
interface Look {
  readonly images: readonly string[];
  readonly embeds?: string;
  /** What diffusers' `set_ip_adapter_scale` was given. */
  readonly scale: AdapterPrompt['scale'];
  readonly masks?: readonly string[];
  readonly start?: number;
  readonly end?: number;
}

/** One picture that diffusers painted. */
export interface Case {
  /** `sd15`, `sd2`, `sdxl`; or sd15 with another UNet, `inpainting` of nine channels or `lcm` with `timestep_cond`. */
  readonly pipeline: string;
  readonly adapters: readonly string[];
  readonly looks: readonly Look[];
  readonly request: Readonly<Record<string, unknown>> & {
    readonly negativePrompt: string | null;
    readonly initImage?: string;
    readonly mask?: string;
  };
}

const pictures = (...names: readonly string[]) => fixturePath('pictures', ...names);

/** All cases, by name. */
export const CASES = JSON.parse(readFileSync(pictures('cases.json'), 'utf8')) as Readonly<
  Record<string, Case>
>;

/** How a case is painted where it may be done in several ways: options of `compile`, or other models. */
export interface Way {
  readonly tokens?: 'split' | 'input' | 'embeds';
  readonly scale?: string;
  readonly hoist?: boolean;
  readonly masks?: boolean;
  readonly images?: readonly number[];
  /** Models in float16. */
  readonly half?: boolean;
  /** The UNet as `package triton --batched` makes it. */
  readonly batched?: boolean;
  /** The folder as `adapt` makes it. */
  readonly adapted?: boolean;
}

function optionsOf({ tokens = 'input', scale = 'input', hoist, masks, images }: Way): string[] {
  return [
    ...['--tokens', tokens, '--scale', scale],
    ...(hoist ? ['--hoist'] : []),
    ...(masks ? ['--masks'] : []),
    ...(images === undefined ? [] : ['--images', images.join()]),
  ];
}

/** Runs the command line, which must succeed. */
async function done(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await ipgraft(...args, '--json');
  assert.equal(code, 0, stderr);
}

/** A pipeline's folder: its own parts, those that all share, and its UNet patched with adapters. */
export async function pictureFolder(
  pipeline: string,
  adapters: readonly string[],
  { half, batched, adapted, ...how }: Way = {},
) {
  const folder = freshFolder();
  const own = ['inpainting', 'lcm'].includes(pipeline) ? ['sd15', 'shared', pipeline] : [pipeline, 'shared'];
  unpackFolders(
    (half ? [...own, 'half'] : own).map((part) => pictures(part)),
    folder,
  );
  const files = adapters.map((name) => pictures('adapters', `${name}.safetensors`));
  if (adapted) {
    const out = join(freshFolder(), 'adapted');
    await done('adapt', folder, '-a', ...files, '-o', out, ...optionsOf(how));
    return { folder: out, projections: [] };
  }
  const unet = join(folder, 'unet', 'model.onnx');
  const projections: string[] = [];
  if (files.length > 0) {
    const patched = join(freshFolder(), 'model.onnx');
    await done('compile', unet, '-a', ...files, '-o', patched, '--weights', 'copy', ...optionsOf(how));
    // With keys and values of their own these lie beside it.
    cpSync(dirname(patched), dirname(unet), { recursive: true });
    if (batched) {
      const models = freshFolder();
      await done('package', 'triton', patched, '--batched', '--name', 'unet', '-o', models);
      cpSync(join(models, 'unet', '1', 'model.onnx'), unet);
    }
    for (const [i, file] of files.entries()) {
      const projection = join(folder, `projection-${i}.onnx`);
      await done('project', file, '-o', projection);
      projections.push(projection);
    }
  }
  return { folder, projections };
}

/** Paints a case. */
export async function paint({ pipeline, adapters, looks, request }: Case, way: Way = {}): Promise<Generated> {
  const masks = looks.some((look) => look.masks !== undefined);
  const images = looks.map((look) => look.images.length);
  const { folder, projections } = await pictureFolder(pipeline, adapters, {
    ...(adapters.length > 0 && { images: images.map((count) => count || 1), masks }),
    ...(looks.some(({ scale }) => typeof scale !== 'number') && { scale: 'layers' }),
    ...way,
  });
  const load = (path: string) => loadComponent(path, { threads: 1 });
  const opened = await openPipeline(await readPipelineFolder(folder), load, { projections });
  const image = (name: string | undefined) =>
    name === undefined ? undefined : readImage(pictures('images', `${name}.png`));
  const all = (names: readonly string[] = []) => Promise.all(names.map((name) => image(name)));
  const checked = pictureRequest(
    {
      ...request,
      negativePrompt: request.negativePrompt ?? undefined,
      initImage: await image(request.initImage),
      mask: await image(request.mask),
      adapters: await Promise.all(
        looks.map(async (look) => ({
          ...look,
          images: await all(look.images),
          embeds: look.embeds && (await readEmbeds(pictures('images', `${look.embeds}.safetensors`))),
          masks: await all(look.masks),
        })),
      ),
    },
    GENEROUS_LIMITS,
  );
  return generate(opened, checked);
}

let reference: Promise<ReadonlyMap<string, Uint8Array>> | undefined;

/** What diffusers painted, by case: [pictures, height, width, 3] from 0 to 255. */
export function painted(): Promise<ReadonlyMap<string, Uint8Array>> {
  reference ??= (async () => {
    const source = await openFile(pictures('pictures.safetensors'));
    const { tensors } = await openCheckpoint(source);
    const found = new Map<string, Uint8Array>();
    for (const [name, tensor] of tensors) found.set(name, Uint8Array.from(await tensor.read()));
    await source.close();
    return found;
  })();
  return reference;
}

/** How far a picture's worst value is from diffusers'. */
export async function worstOf(name: string, way: Way = {}): Promise<number> {
  const wanted = (await painted()).get(name)!;
  const { pictures: made } = await paint(CASES[name]!, way);
  const found = Buffer.concat(made.map(({ image }) => image.data));
  if (found.length !== wanted.length) return Number.POSITIVE_INFINITY;
  return found.reduce((worst, value, i) => Math.max(worst, Math.abs(value - wanted[i]!)), 0);
}
