// Makes one file of a program that tsc compiled, with what it imports.
import { build } from 'esbuild';

/** The program of a model's worker: beside the bundled program that starts it. */
export const BUNDLED_WORKER = 'ipgraft.worker.cjs';

/** Only where one program is one file is its worker one too. */
const besideBundle = {
  name: 'worker beside the bundle',
  setup: ({ onLoad }) =>
    onLoad({ filter: /[\\/]workers[\\/]worker-entry\.js$/ }, () => ({
      contents: `export const WORKER_ENTRY = require('node:path').join(__dirname, '${BUNDLED_WORKER}');`,
    })),
};

/** Bundles `entry` as CommonJS; answers with the files that went in. What is needed now and then stays outside. */
export async function bundleProgram(entry, outfile) {
  const { metafile } = await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    minify: true,
    keepNames: true,
    external: [
      'onnxruntime-node',
      '@tensorflow/*',
      'fastify',
      '@fastify/cors',
      '@fastify/multipart',
      '@grpc/grpc-js',
      'lru-cache',
      'protobufjs/index.js',
      'protobufjs/light.js',
      'protobufjs/ext/*',
      'ora',
      'ts-morph',
      'yaml',
      '@viz-js/viz',
      '@zip.js/zip.js',
      'sharp',
      '@huggingface/tokenizers',
    ],
    plugins: [besideBundle],
    metafile: true,
    logLevel: 'warning',
  });
  return Object.keys(metafile.inputs);
}
