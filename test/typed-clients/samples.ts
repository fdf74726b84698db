import { join } from 'node:path';
import { openAdapter } from '../../runtime/open.js';
import { writeProjection } from '../../runtime/project-image.js';
import { adapterPath, freshFolder, modelPath } from '../fixtures.js';
import { patchFile } from '../patched.js';

/** The UNet of fixtures/typed-clients/unet.ts. */
export async function sampleUnet(): Promise<string> {
  const adapters = [adapterPath('sd15', 'base')];
  return (await patchFile(modelPath('sd15-sdpa-ts17'), adapters, { tokens: 'input' })).path;
}

/** The image projection of fixtures/typed-clients/image-proj.ts. */
export async function sampleProjection(): Promise<string> {
  const adapter = await openAdapter(adapterPath('sd15', 'base'));
  try {
    const path = join(freshFolder(), 'image-proj.onnx');
    await writeProjection(adapter, path);
    return path;
  } finally {
    await adapter.close();
  }
}
