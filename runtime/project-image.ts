import { bufferSource } from '../compiler/io/byte-source.js';
import { type WriteOptions, writeFiles } from '../compiler/io/write-files.js';
import { DATA_TYPE } from '../compiler/onnx/data-type.js';
import { onnx } from '../compiler/onnx/proto.js';
import { readModel } from '../compiler/onnx/read-model.js';
import { writeModel } from '../compiler/onnx/write-model.js';
import { runPasses } from '../compiler/run-passes.js';
import type { Rope } from '../compiler/wire/rope.js';
import type { Adapter } from '../passes/adapter/adapter.js';
import { imageProjection } from '../passes/image-projection.js';
import { embeddingInputs } from '../passes/project-image-embeds.js';
import { VERSION } from './version.js';

/** What every runtime of the last years reads: IR 8 and opset 17, which brought LayerNormalization. */
const IR_VERSION = 8;
const OPSET = 17;

/**
 * An adapter's image projection as a model of its own: `image_embeds` (and `id_embeds`, for FaceID-Plus) → `ip_hidden_states` [B, T, C],
 * float32.
 * Run once per image; its result is what a model compiled with `--tokens input` or `split` takes.
 */
export async function projectionModel(adapter: Adapter): Promise<Rope> {
  const [embeddings, face] = embeddingInputs(adapter.projection, 'float');
  const tensorType = (dims: readonly (number | string | null)[]) => ({
    tensorType: {
      elemType: DATA_TYPE.float,
      shape: {
        dim: dims.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: String(size) })),
      },
    },
  });
  // A graph of one empty step, into which the pass then puts the projection as it puts it into a UNet.
  const skeleton = onnx.ModelProto.encode({
    irVersion: IR_VERSION,
    opsetImport: [{ domain: '', version: OPSET }],
    producerName: 'ipgraft',
    producerVersion: VERSION,
    graph: {
      name: 'image_projection',
      node: [
        {
          opType: 'Identity',
          name: 'ip_hidden_states',
          input: [embeddings.name],
          output: ['ip_hidden_states'],
        },
      ],
      input: [embeddings, ...(face ? [face] : [])].map(({ name, shape }) => ({
        name,
        type: tensorType(shape),
      })),
      output: [
        {
          name: 'ip_hidden_states',
          type: tensorType(['image_batch_size', adapter.tokens, adapter.tokenWidth]),
        },
      ],
    },
  }).finish();
  const model = await readModel(bufferSource(skeleton, 'image projection'));
  const { graph } = runPasses(model, [
    imageProjection(adapter, { embeddings: embeddings.name, face: face?.name ?? null }),
  ]);
  return writeModel(model, graph);
}

/** Writes {@link projectionModel} to a file. @throws IpgraftError `OUTPUT_*` */
export async function writeProjection(
  adapter: Adapter,
  path: string,
  options: WriteOptions = {},
): Promise<{ bytes: number }> {
  const model = await projectionModel(adapter);
  await writeFiles([{ path, content: model }], options);
  return { bytes: model.length };
}
