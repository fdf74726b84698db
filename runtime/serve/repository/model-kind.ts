import { GRAPH, MODEL } from '../../../compiler/onnx/schema.js';
import { fields, text } from '../../../compiler/wire/fields.js';
import type { Rope } from '../../../compiler/wire/rope.js';
import { openModel } from '../../open.js';
import { PRODUCER } from '../../skeleton.js';
import type { ModelInterface } from '../backend.js';

/** What is run once per image: an encoder, or a model that `project` or `--hoist` wrote. */
export type ModelKind = 'image_encoder' | 'image_projection' | 'image_kv';

/** What `project` and `--hoist` call their graphs, by what these give. */
const GRAPH_OF = new Map<string, ModelKind>([
  ['ip_hidden_states', 'image_projection'],
  ['ip_kv', 'image_kv'],
]);

/**
 * What part of an image's way to the UNet a model is; `undefined` for any other model. An encoder is told by its inputs and outputs, as
 * transformers' exports name them; what ipgraft wrote says so in its file. Only a file with the right output is opened.
 */
export async function modelKind(
  path: string,
  { inputs, outputs }: ModelInterface,
): Promise<ModelKind | undefined> {
  const required = inputs.filter(({ optional }) => !optional);
  if (required.length === 1 && required[0]!.name === 'pixel_values')
    return outputs.some(({ name }) => isImageEmbedding(name)) ? 'image_encoder' : undefined;
  const [output] = outputs;
  const kind = outputs.length === 1 ? GRAPH_OF.get(output!.name) : undefined;
  return kind !== undefined && (await isWrittenHere(path, kind)) ? kind : undefined;
}

/** `image_embeds`, `hidden_states`, `hidden_states.31`: what image projections read. */
export function isImageEmbedding(output: string): boolean {
  return /^(image_embeds|(penultimate_)?hidden_states|hidden_states\.\d+)$/.test(output);
}

async function isWrittenHere(path: string, graphName: string): Promise<boolean> {
  // What is wrong with a file is ONNX Runtime's to say.
  const opened = await openModel(path).catch(() => undefined);
  if (opened === undefined) return false;
  await opened.close();
  const { file } = opened;
  const graph = fields(file).find(({ number }) => number === MODEL.graph)!;
  return (
    textOf(file, MODEL.producerName) === PRODUCER &&
    textOf(file.slice(graph.payload, graph.end), GRAPH.name) === graphName
  );
}

function textOf(message: Rope, number: number): string | undefined {
  const field = fields(message).find((each) => each.number === number);
  return field && text(message, field);
}
