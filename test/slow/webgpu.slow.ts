import { existsSync } from 'node:fs';
import { describeSteps } from './provider-steps.js';

/** SwiftShader, which comes with Chromium: Vulkan without a GPU. A machine with a GPU needs none. */
const DRIVER = process.env.VK_ICD_FILENAMES ?? '/usr/lib/chromium/vk_swiftshader_icd.json';

describe('on WebGPU', () => {
  before(function () {
    if (existsSync(DRIVER)) return;
    console.log(`    skipped: no Vulkan driver at ${DRIVER}; apt-get install chromium libvulkan1 brings one`);
    this.skip();
  });

  describeSteps({
    provider: 'webgpu',
    profileName: 'WebGpuExecutionProvider',
    env: { VK_ICD_FILENAMES: DRIVER },
    limit: 1e-4,
  });
});
