import { Node } from 'ts-morph';
import { sources } from './sources.js';
import { type Schema, typeSchema } from './type-schema.js';

/** Something that the command line prints with `--json`. */
export interface Report {
  /** The verb that prints it; `error` for what all of them print when they fail. */
  readonly name: string;
  readonly file: string;
  readonly type: string;
  /** Its example on the page: arguments of ipgraft in a folder where the examples before have left their files. */
  readonly example?: string;
}

/** Everything that the command line prints with `--json`, in the order of docs/reports.md. */
export const REPORTS: readonly Report[] = [
  {
    name: 'compile',
    file: 'runtime/report.ts',
    type: 'CompileReport',
    example: 'compile model.onnx --adapter ip-adapter.safetensors -o patched.onnx --json',
  },
  {
    name: 'adapt',
    file: 'runtime/pipeline/adapt/report.ts',
    type: 'AdaptReport',
    example: 'adapt pipeline --adapter tiny.safetensors -o adapted --json',
  },
  {
    name: 'inspect',
    file: 'runtime/inspect.ts',
    type: 'Description',
    example: 'inspect ip-adapter.safetensors --json',
  },
  {
    name: 'project',
    file: 'runtime/cli/project-command.ts',
    type: 'ProjectReport',
    example: 'project ip-adapter.safetensors -o image_proj.onnx --json',
  },
  {
    name: 'strip',
    file: 'runtime/cli/strip-command.ts',
    type: 'StripReport',
    example: 'strip patched.onnx -o base.onnx --json',
  },
  {
    name: 'swap',
    file: 'runtime/cli/swap-command.ts',
    type: 'SwapReport',
    example: 'swap patched.onnx --adapter other.safetensors -o swapped.onnx --json',
  },
  {
    name: 'diff',
    file: 'compiler/diff/model-diff.ts',
    type: 'ModelDiff',
    example: 'diff model.onnx patched.onnx --json',
  },
  {
    name: 'validate',
    file: 'runtime/validate/validation.ts',
    type: 'Validation',
    example: 'validate model.onnx patched.onnx --json',
  },
  {
    name: 'generate',
    file: 'runtime/cli/generate-command.ts',
    type: 'GenerateReport',
  },
  {
    name: 'serve',
    file: 'runtime/cli/serve-command.ts',
    type: 'ServeReport',
  },
  {
    name: 'types',
    file: 'runtime/cli/types-command.ts',
    type: 'TypesReport',
    example: 'types patched.onnx -o unet.ts --json',
  },
  {
    name: 'package-triton',
    file: 'runtime/cli/package-triton-command.ts',
    type: 'PackageTritonReport',
    example: 'package triton patched.onnx image_proj.onnx -o models --batched --json',
  },
  {
    name: 'package-kserve',
    file: 'runtime/cli/package-kserve-command.ts',
    type: 'PackageKserveReport',
    example:
      'package kserve --name unet --storage-uri s3://models/sd15 --memory 8Gi --scale-metric cpu --max-replicas 4 -o isvc.yaml --json',
  },
  {
    name: 'error',
    file: 'runtime/cli/run.ts',
    type: 'ErrorReport',
    example: 'strip model.onnx -o base.onnx --json',
  },
];

/** What a verb leaves as JSON files, for other programs to read. */
export const DOCUMENTS: readonly Report[] = [
  { name: 'ipgraft.json', file: 'runtime/pipeline/folder/adaptation.ts', type: 'Adaptation' },
];

/** The JSON Schema of a report, from its type. @throws as {@link typeSchema} */
export function reportSchema({ file, type }: Report): Schema {
  const source = sources.getSourceFileOrThrow(file);
  const declaration = source.getInterface(type) ?? source.getTypeAliasOrThrow(type);
  if (Node.isExportable(declaration) && declaration.isExported()) return typeSchema(declaration);
  throw new Error(`${file} does not export ${type}`);
}
