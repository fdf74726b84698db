export type { ModelDiff } from '../compiler/diff/model-diff.js';
/**
 * ipgraft as a library.
 *
 * ```ts
 * import { compile, openAdapter, openModel, writePatched } from 'ipgraft';
 *
 * const model = await openModel('unet/model.onnx');
 * const adapter = await openAdapter('ip-adapter_sd15.safetensors');
 * const patched = await compile(model, { adapters: [adapter], tokens: 'split', scale: 'input' });
 * await writePatched(patched, 'unet/patched.onnx');
 * ```
 */
export type { Edit } from '../compiler/edit/edit.js';
export { CATALOGUE, type ErrorCode, type Facts, IpgraftError } from '../compiler/errors.js';
export { type ByteSource, blobSource, bufferSource, rangeSource } from '../compiler/io/byte-source.js';
export type { ModelFolder } from '../compiler/io/model-folder.js';
export type { WriteOptions } from '../compiler/io/write-files.js';
export type { Adapter } from '../passes/adapter/adapter.js';
export type { CrossAttention, LocateOptions } from '../passes/locate-cross-attention.js';
export type { TokenSource } from '../passes/plan.js';
export { type BatchedModel, batchModel, writeBatched } from './batch.js';
export { type CompileOptions, compile, type PatchedModel } from './compile.js';
export { type DiffOptions, diff } from './diff.js';
export { hoistedModels, hoistedPath } from './hoist.js';
export { diffReport } from './html/diff-report.js';
export { type ValidatedModels, validationReport } from './html/validation-report.js';
export { type AdapterDescription, type Description, inspect, type ModelDescription } from './inspect.js';
export { type OpenedAdapter, type OpenedModel, openAdapter, openModel } from './open.js';
export type { ComponentModel, ComponentModels, RunOptions } from './pipeline/component-model.js';
export type { DenoisedStep } from './pipeline/denoise.js';
export type { Adaptation } from './pipeline/folder/adaptation.js';
export type { Component } from './pipeline/folder/component.js';
export { type PipelineFolder, readPipelineFolder } from './pipeline/folder/pipeline-folder.js';
export { type Generated, type GenerateOptions, generate } from './pipeline/generate.js';
export { decodeImage } from './pipeline/images/decode-image.js';
export type { RgbImage } from './pipeline/images/rgb-image.js';
export { type LoadOptions, loadComponent } from './pipeline/load-component.js';
export { type ModelLoader, openPipeline, type PipelineOptions } from './pipeline/open-pipeline.js';
export type { Pipeline } from './pipeline/pipeline.js';
export {
  GENEROUS_LIMITS,
  type PictureLimits,
  type PictureRequest,
  type PictureRequestInput,
  pictureRequest,
} from './pipeline/request.js';
export { projectionModel, writeProjection } from './project-image.js';
export { type CompileReport, reportOf } from './report.js';
export { stripPatched } from './strip-patched.js';
export { type SwappedModel, swap } from './swap.js';
export { type TypedClient, type TypedClientOptions, typedClient } from './typed-client/typed-client.js';
export { type ValidateOptions, validate } from './validate/validate.js';
export type { Check, Engine, SiteNumbers, Validation } from './validate/validation.js';
export { VERSION } from './version.js';
export {
  type WeightsMode,
  type WritePatchedOptions,
  type WrittenModel,
  writePatched,
} from './write-patched.js';
export { writeSwapped } from './write-swapped.js';
