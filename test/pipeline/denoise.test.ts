import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { denoise } from '../../runtime/pipeline/denoise.js';
import { readPipelineFolder } from '../../runtime/pipeline/folder/pipeline-folder.js';
import { loadComponent } from '../../runtime/pipeline/load-component.js';
import { openPipeline } from '../../runtime/pipeline/open-pipeline.js';
import { GENEROUS_LIMITS, pictureRequest } from '../../runtime/pipeline/request.js';
import { stackRows } from '../../runtime/pipeline/run-component.js';
import { createScheduler } from '../../runtime/pipeline/schedulers/create-scheduler.js';
import { ImageConditions } from '../../runtime/pipeline/unet/image-conditions.js';
import { imageWidths } from '../../runtime/pipeline/unet/image-widths.js';
import { largestDifference, readReference } from '../numbers.js';
import { type KindOptions, patchFile } from '../patched.js';
import { unpackPipeline } from './unpacked.js';

const WAYS: readonly (KindOptions & { readonly note: string })[] = [
  { note: 'behind the text, scale given', tokens: 'split', scale: 'input' },
  { note: 'behind the text, a default scale', tokens: 'split', scale: 'optional=0.6' },
  { note: 'an input of their own, a scale per layer', tokens: 'input', scale: 'layers' },
  { note: 'an input of their own, a scale per row', tokens: 'input', scale: 'rows' },
];

describe('four guided steps with an image prompt', () => {
  for (const { note, ...way } of WAYS)
    it(`give diffusers’ latents: image tokens ${note}`, async () => {
      const folder = unpackPipeline();
      const unet = join(folder, 'onnx', 'unet', 'model.onnx');
      cpSync((await patchFile(unet, [join(folder, 'adapter.safetensors')], way)).path, unet);
      const pipeline = await openPipeline(await readPipelineFolder(join(folder, 'onnx')), (path) =>
        loadComponent(path, { threads: 1 }),
      );
      const reference = await readReference(join(folder, 'reference.safetensors'));
      const get = (name: string) => reference.get(name);
      const model = await pipeline.models.load('unet');
      const { graft } = pipeline.unet;
      const scale = way.scale === 'optional=0.6' ? {} : { scale: 0.6 };
      const { adapters } = pictureRequest({ prompt: '', adapters: [scale] }, GENEROUS_LIMITS);
      const images = new ImageConditions(
        graft!,
        [
          {
            adapter: graft!.adapters[0]!,
            row: { image: get('image_tokens'), negative: get('negative_image_tokens'), face: null },
            prompt: adapters[0]!,
          },
        ],
        { negative: 1, positive: 1 },
        imageWidths(model, graft!, 24),
        null,
      );
      const latents = await denoise({
        unet: model,
        scheduler: createScheduler('ddim', pipeline.scheduler, { steps: 4 }),
        latents: get('latents'),
        conditions: {
          textInput: 'encoder_hidden_states',
          text: stackRows([get('negative_prompt_embeds'), get('prompt_embeds')]),
          more: {},
          images,
        },
        guidance: { scale: 7.5, rescale: 0 },
        draw: () => assert.fail('DDIM draws nothing'),
        channels: null,
        kept: null,
      });
      const difference = largestDifference(latents.data, get('denoised').data);
      assert.ok(difference <= 1e-4, `${difference}`);
    });
});
