import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageProjection } from '../../passes/adapter/image-projection.js';
import { openAdapter } from '../../runtime/open.js';
import {
  embeddingOf,
  encoderComponent,
  encoderWanted,
  openEncoder,
} from '../../runtime/pipeline/adapt/image-encoder.js';
import { readPipelineFolder } from '../../runtime/pipeline/folder/pipeline-folder.js';
import { contentOf, type Outcome } from '../command.js';
import { freshFolder } from '../fixtures.js';
import { kindPath } from '../kinds.js';
import { type Case, EMBEDDING, pipelineCase, writeEncoder } from './pipelines.js';

/** A run that must be refused by this code, in words that match. */
function refused(outcome: Outcome, about: RegExp): void {
  assert.equal(outcome.code, 3);
  assert.match(outcome.stderr, /^ADAPTER_ENCODER: /);
  assert.match(outcome.stderr, about);
}

describe('adapt, the image encoder', () => {
  let pipeline: Case;

  beforeEach(() => {
    pipeline = pipelineCase();
  });

  async function adapted(...more: string[]) {
    const { code, stderr } = await pipeline.adapt(...more);
    assert.deepEqual([code, stderr], [0, '']);
    const { adaptation, index } = await readPipelineFolder(pipeline.out);
    return { encoders: adaptation!.adapters.map(({ encoder }) => encoder), index };
  }

  it('of the folder stays, and is named with the output that the adapter reads', async () => {
    const folder = join(pipeline.base, 'image_encoder');
    writeEncoder(folder, { last_hidden_state: 30, image_embeds: EMBEDDING }, { image_size: 32 });
    const { encoders, index } = await adapted();
    assert.deepEqual(encoders, [{ model: 'image_encoder/model.onnx', output: 'image_embeds' }]);
    assert.deepEqual(contentOf(join(pipeline.out, 'image_encoder')), contentOf(folder));
    assert.deepEqual(index.image_encoder, ['transformers', 'CLIPVisionModelWithProjection']);
    assert.deepEqual(index.feature_extractor, ['transformers', 'CLIPImageProcessor']);
    const processor = join(pipeline.out, 'feature_extractor', 'preprocessor_config.json');
    const { crop_size, size } = JSON.parse(readFileSync(processor, 'utf8')) as Record<string, unknown>;
    assert.deepEqual([crop_size, size], [{ height: 32, width: 32 }, { shortest_edge: 32 }]);
  });

  it('is refused when it gives another width, or no embedding, by what was sought and found', async () => {
    const folder = join(pipeline.base, 'image_encoder');
    writeEncoder(folder, { image_embeds: 1280 });
    const about = /reads image_embeds of width 20; found image_encoder: image_embeds of width 1280/;
    refused(await pipeline.adapt(), about);
    writeEncoder(folder, { last_hidden_state: 20 });
    refused(await pipeline.adapt(), /found image_encoder: the outputs last_hidden_state, none of them/);
    assert.equal(existsSync(pipeline.out), false);
  });

  it('given as a folder or a file takes the place of the folder’s own, with what describes it', async () => {
    writeEncoder(join(pipeline.base, 'image_encoder'), { image_embeds: 1280 });
    writeFileSync(join(pipeline.base, 'image_encoder', 'more.txt'), 'of the old one');
    const given = join(freshFolder(), 'clip');
    writeEncoder(given, { image_embeds: EMBEDDING }, { image_size: 32 });
    writeFileSync(join(given, 'preprocessor_config.json'), '{"crop_size": 48}');
    for (const path of [given, join(given, 'model.onnx')]) {
      await adapted('--image-encoder', path, '--force');
      assert.deepEqual(contentOf(join(pipeline.out, 'image_encoder')), contentOf(given));
      const processor = join(pipeline.out, 'feature_extractor', 'preprocessor_config.json');
      assert.equal(readFileSync(processor, 'utf8'), '{"crop_size": 48}');
    }
  });

  it('given twice serves adapters that read two, and is refused where none reads it', async () => {
    const [clip, other] = [join(freshFolder(), 'clip'), join(freshFolder(), 'other')];
    writeEncoder(clip, { image_embeds: EMBEDDING });
    writeEncoder(other, { image_embeds: 1280 });
    refused(
      await pipeline.adapt('--image-encoder', clip, other),
      /other gives image_embeds of width 1280: sought an encoder that an adapter reads/,
    );
    const { code, stderr } = await pipeline.adapt('--image-encoder', join(clip, 'nothing'));
    assert.equal(code, 9);
    assert.match(stderr, /^OPTION_FILE_MISSING: /);
  });

  it('gives the last but one of its hidden states, by their number or by a name', async () => {
    const folder = join(freshFolder(), 'clip');
    const outputOf = async (outputs: Readonly<Record<string, number>>, config?: object) => {
      rmSync(folder, { recursive: true, force: true });
      writeEncoder(folder, outputs, config);
      const encoder = await openEncoder(await encoderComponent(folder));
      await encoder.model.close();
      return embeddingOf(encoder, 'hidden');
    };
    const states = { 'hidden_states.0': 30, 'hidden_states.1': 30, 'hidden_states.2': 30 };
    const layers = { num_hidden_layers: 32 };
    assert.deepEqual(await outputOf(states), { output: 'hidden_states.1', width: 30 });
    assert.equal((await outputOf({ 'hidden_states.31': 30 }))?.output, 'hidden_states.31');
    assert.equal((await outputOf({ 'hidden_states.31': 30 }, layers))?.output, 'hidden_states.31');
    assert.equal((await outputOf({ penultimate_hidden_states: 30 }))?.output, 'penultimate_hidden_states');
    assert.equal(await outputOf({ 'hidden_states.32': 30 }, layers), null);
    assert.equal(await outputOf({ image_embeds: 30, last_hidden_state: 30 }), null);
  });

  it('is wanted by the names under which the published adapters’ encoders are known', async () => {
    const wanted = async (file: string) => {
      const adapter = await openAdapter(kindPath(file));
      await adapter.close();
      return encoderWanted(adapter.projection);
    };
    assert.equal(await wanted('faceid.adapter.bin'), null);
    assert.equal((await wanted('faceid-plus.adapter.safetensors'))?.reads, 'hidden');
    const projection = { family: 'base', reads: 'pooled', embeddingWidth: 1024 } as ImageProjection;
    assert.deepEqual(encoderWanted(projection), {
      reads: 'pooled',
      width: 1024,
      encoder: 'OpenCLIP ViT-H/14, image_embeds',
    });
    const face = { family: 'plus', reads: 'hidden', embeddingWidth: 512 } as ImageProjection;
    assert.equal(encoderWanted(face), null);
  });
});
