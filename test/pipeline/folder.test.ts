import assert from 'node:assert/strict';
import {
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ADAPTATION_FILE } from '../../runtime/pipeline/folder/adaptation.js';
import { type Component, requiredModel } from '../../runtime/pipeline/folder/component.js';
import { unetConfig, vaeConfig, visionConfig } from '../../runtime/pipeline/folder/component-config.js';
import { readPipelineFolder } from '../../runtime/pipeline/folder/pipeline-folder.js';
import { freshFolder } from '../fixtures.js';
import { unpackPipeline } from './unpacked.js';

/** A component as it is read, with this configuration. */
function component(config: Component['config']): Component {
  return { name: 'part', path: '/part', model: null, files: [], config };
}

describe('the folder of a pipeline', () => {
  let folder: string;

  beforeEach(() => {
    folder = join(unpackPipeline(), 'onnx');
  });

  /** Rewrites a JSON file of the folder. */
  function edit(name: string, change: (value: Record<string, unknown>) => void): void {
    const path = join(folder, name);
    const value = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    change(value);
    writeFileSync(path, JSON.stringify(value));
  }

  /** That the folder is refused, and names what it is about. */
  async function refused(code: string, about: RegExp): Promise<void> {
    await assert.rejects(readPipelineFolder(folder), (error: { code: string; message: string }) => {
      assert.equal(error.code, code);
      assert.match(error.message, about);
      return true;
    });
  }

  it('has the components that optimum exports, with their models and configurations', async () => {
    const found = await readPipelineFolder(folder);
    const { components } = found;
    assert.equal(found.className, 'StableDiffusionPipeline');
    assert.equal(found.kind, 'sd');
    assert.equal(found.adaptation, null);
    assert.deepEqual(found.classes.get('unet'), { library: 'diffusers', className: 'UNet2DConditionModel' });
    assert.equal(found.classes.has('image_encoder'), false);
    const names = ['scheduler', 'text_encoder', 'tokenizer', 'unet', 'vae_decoder', 'vae_encoder'];
    assert.deepEqual([...components.keys()], names);
    for (const name of names) {
      const isModel = name !== 'scheduler' && name !== 'tokenizer';
      const path = isModel ? join(realpathSync(folder), name, 'model.onnx') : null;
      assert.equal(components.get(name)!.model, path);
    }
    assert.equal(components.get('scheduler')!.config!._class_name, 'DDIMScheduler');
    assert.equal(components.get('tokenizer')!.config!.model_max_length, 77);
    assert.ok(components.get('tokenizer')!.files.includes('merges.txt'));
  });

  it('says what a pipeline needs to know of its UNet and VAE', async () => {
    const { components } = await readPipelineFolder(folder);
    assert.deepEqual(unetConfig(components.get('unet')!), {
      inChannels: 4,
      outChannels: 4,
      textWidth: 24,
      sampleSize: [16, 16],
      timeCondWidth: null,
      additionEmbedType: null,
    });
    assert.deepEqual(vaeConfig(components.get('vae_decoder')!), {
      scalingFactor: 0.18215,
      shiftFactor: null,
      latentsMean: null,
      latentsStd: null,
      latentChannels: 4,
      forceUpcast: true,
      pixelsPerLatent: 2,
    });
  });

  it('reads an image encoder’s configuration, alone or inside a whole CLIP’s', () => {
    const vision = { hidden_size: 1280, projection_dim: 1024, image_size: 224, patch_size: 14 };
    const expected = { hiddenWidth: 1280, projectionWidth: 1024, imageSize: 224, patchSize: 14, layers: 32 };
    const alone = component({ ...vision, num_hidden_layers: 32 });
    const inside = component({
      projection_dim: 1024,
      vision_config: { ...vision, projection_dim: 512, num_hidden_layers: 32 },
    });
    assert.deepEqual(visionConfig(alone), expected);
    assert.deepEqual(visionConfig(inside), expected);
    assert.equal(visionConfig(component(null)), null);
  });

  it('tells SDXL by the UNet, or by its second text encoder where the UNet has no configuration', async () => {
    edit('unet/config.json', (config) => {
      config.addition_embed_type = 'text_time';
    });
    assert.equal((await readPipelineFolder(folder)).kind, 'sdxl');
    rmSync(join(folder, 'unet', 'config.json'));
    assert.equal((await readPipelineFolder(folder)).kind, 'sd');
    mkdirSync(join(folder, 'text_encoder_2'));
    assert.equal((await readPipelineFolder(folder)).kind, 'sdxl');
  });

  it('takes the only ONNX file of a component for its model, and does not choose among several', async () => {
    const unet = join(folder, 'unet');
    renameSync(join(unet, 'model.onnx'), join(unet, 'model_optimized.onnx'));
    const { components } = await readPipelineFolder(folder);
    assert.equal(requiredModel(components, 'unet').model, join(realpathSync(unet), 'model_optimized.onnx'));
    writeFileSync(join(unet, 'model_quantized.onnx'), '');
    await refused('MODEL_FOLDER_FILE', /unet: sought model.onnx, found model_optimized.onnx, model_quant/);
  });

  it('names a component that is needed and not there', async () => {
    rmSync(join(folder, 'vae_encoder'), { recursive: true });
    rmSync(join(folder, 'unet', 'model.onnx'));
    const { components } = await readPipelineFolder(folder);
    const because = (name: string) => {
      try {
        return requiredModel(components, name).model;
      } catch (error) {
        const { code, message } = error as { code: string; message: string };
        return `${code}: ${message}`;
      }
    };
    assert.match(
      because('vae_encoder')!,
      /^MODEL_FOLDER_COMPONENT: .*the folder vae_encoder.*found scheduler/,
    );
    assert.match(because('unet')!, /^MODEL_FOLDER_COMPONENT: .*unet\/model.onnx.*found config.json$/);
  });

  it('refuses what is no folder, and no folder of a pipeline', async () => {
    rmSync(join(folder, 'model_index.json'));
    await refused('MODEL_FOLDER', /model_index.json/);
    folder = join(folder, 'scheduler', 'scheduler_config.json');
    await refused('OPTION_FILE_MISSING', /it is no folder/);
    folder = join(freshFolder(), 'nowhere');
    await refused('OPTION_FILE_MISSING', /there is no such folder/);
  });

  it('takes the infinities that Python writes into configurations', async () => {
    const path = join(folder, 'scheduler', 'scheduler_config.json');
    const text = readFileSync(path, 'utf8').replace('{', '{"lambda_min_clipped": -Infinity,');
    writeFileSync(path, text);
    const { components } = await readPipelineFolder(folder);
    assert.equal(components.get('scheduler')!.config!.lambda_min_clipped, Number.NEGATIVE_INFINITY);
  });

  it('refuses an index and configurations that are not JSON objects, or too long', async () => {
    const index = join(folder, 'model_index.json');
    for (const [text, about] of [
      ['{', /model_index.json: it is no JSON/],
      ['[]', /model_index.json: sought a JSON object/],
      ['null', /model_index.json: sought a JSON object/],
      ['{"unet": ["diffusers", "UNet2DConditionModel"]}', /_class_name/],
      [' '.repeat(1024 * 1024 + 1), /1048576 bytes at most/],
    ] as const) {
      writeFileSync(index, text);
      await refused('MODEL_FOLDER_FILE', about);
    }
    rmSync(index);
    mkdirSync(index);
    await refused('MODEL_FOLDER_FILE', /sought a file/);
  });

  it('refuses a configuration whose values are of another type, when it is asked for', async () => {
    edit('vae_decoder/config.json', (config) => {
      config.scaling_factor = 'large';
    });
    const { components } = await readPipelineFolder(folder);
    assert.throws(() => vaeConfig(components.get('vae_decoder')!), {
      code: 'MODEL_FOLDER_FILE',
      message: /config.json: scaling_factor: /,
    });
  });

  it('refuses links that leave the folder: of a component, a model or a configuration', async () => {
    const outside = freshFolder();
    for (const name of ['unet', 'unet/model.onnx', 'scheduler/scheduler_config.json', 'model_index.json']) {
      const path = join(folder, name);
      const moved = join(outside, name.replaceAll('/', '-'));
      renameSync(path, moved);
      symlinkSync(moved, path);
      await refused('MODEL_FOLDER_ESCAPES', new RegExp(`${name} is a link`));
      rmSync(path);
      renameSync(moved, path);
    }
    await readPipelineFolder(folder);
  });

  it('follows links inside the folder, the folder itself being one', async () => {
    const unet = join(folder, 'unet');
    renameSync(join(unet, 'model.onnx'), join(folder, 'blob'));
    symlinkSync('../blob', join(unet, 'model.onnx'));
    const link = join(freshFolder(), 'link');
    symlinkSync(folder, link);
    const found = await readPipelineFolder(link);
    assert.equal(found.path, realpathSync(folder));
    assert.equal(found.components.get('unet')!.model, join(realpathSync(unet), 'model.onnx'));
  });

  it('refuses an ipgraft.json that it does not understand, or that names files elsewhere', async () => {
    const adaptation = {
      format: 1,
      ipgraft: '0.1.0',
      adapters: [
        {
          name: 'a',
          sha256: '0'.repeat(64),
          family: 'base',
          tokens: 4,
          images: 1,
          projection: 'image_proj/model.onnx',
          keysAndValues: null,
          encoder: null,
          wants: { reads: 'pooled', width: 1024, encoder: null },
          faceWidth: null,
        },
      ],
      tokens: 'split',
      scale: 'input',
      unet: 'unet/model.onnx',
      controlnets: [],
    };
    const write = (value: object) => writeFileSync(join(folder, ADAPTATION_FILE), JSON.stringify(value));
    write(adaptation);
    assert.deepEqual((await readPipelineFolder(folder)).adaptation, adaptation);
    write({ ...adaptation, format: 2 });
    await refused('MODEL_FOLDER_FILE', /ipgraft.json: format/);
    for (const unet of ['../unet/model.onnx', '/etc/passwd', 'unet/../../x', 'a\\b', '', 'unet/']) {
      write({ ...adaptation, unet });
      await refused('MODEL_FOLDER_FILE', /ipgraft.json: unet/);
    }
  });
});
