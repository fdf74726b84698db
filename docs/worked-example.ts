import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { apply } from '../compiler/edit/apply.js';
import type { Edit } from '../compiler/edit/edit.js';
import { fingerprint } from '../compiler/fingerprint.js';
import { bufferSource } from '../compiler/io/byte-source.js';
import type { Graph } from '../compiler/onnx/graph.js';
import type { Node } from '../compiler/onnx/node.js';
import { readModel } from '../compiler/onnx/read-model.js';
import type { Pass } from '../compiler/pass.js';
import { runPasses } from '../compiler/run-passes.js';
import { graftOf } from '../passes/graft.js';
import { batchPasses, dropPasses, graftPasses, locate } from '../passes/index.js';
import type { CrossAttention } from '../passes/locate-cross-attention.js';
import { loraSites, mergeLora } from '../passes/merge-lora.js';
import { type GraftOptions, planGraft } from '../passes/plan.js';
import { openAdapter } from '../runtime/open.js';
import { VERSION } from '../runtime/version.js';
import { baseShapes, type Shapes, withInserted } from './value-shapes.js';

/** One pass with the graphs before and after it. */
export interface Step {
  readonly pass: Pass;
  readonly edits: readonly Edit[];
  readonly before: Graph;
  readonly after: Graph;
  /** Of what the graph after it holds, as far as they are known. */
  readonly shapes: Shapes;
}

/** The example that all pictures show: one cross-attention of a real export. */
export interface WorkedExample {
  readonly attention: CrossAttention;
  readonly textInput: string;
  readonly base: Graph;
  readonly baseShapes: Shapes;
  readonly steps: readonly Step[];
  /** Whether what lies outside of the attention counts too. */
  readonly isWhole: boolean;
}

const MODEL = 'fixtures/models/sd15-sdpa-dynamo23.onnx.gz';
const ADAPTER = 'fixtures/adapters/sd15-base.safetensors';

/** What to compile for a picture. */
export interface Task {
  /** Gzipped; default: an export of SD1.5's UNet. */
  readonly model?: string;
  /** Gzipped where its name says so; default: a base adapter. */
  readonly adapter?: string;
  readonly options: GraftOptions;
  /** Only let image tokens be dropped. */
  readonly drop?: true;
  /** Then give every input a batch. */
  readonly batch?: true;
}

/** Compiles the middle block's cross-attention, step by step. */
export async function workedExample({
  model: file = MODEL,
  adapter: checkpoint = ADAPTER,
  ...task
}: Task): Promise<WorkedExample> {
  const model = await readModel(bufferSource(content(file), 'unet.onnx'));
  const adapter = await openAdapter(bufferSource(content(checkpoint), basename(checkpoint, '.gz')));
  const options = { ...task.options, patterns: ['mid_block.**.attn2'] };
  const located = locate(model.graph, options);
  const grafts = [graftOf(adapter, located)];
  const { tokens = 'split' } = options;
  const stamp = {
    'ipgraft.version': VERSION,
    'ipgraft.base': fingerprint(model.file),
    'ipgraft.adapters': JSON.stringify([{ name: adapter.name, tokens: adapter.tokens }]),
    'ipgraft.options': JSON.stringify({ tokens, scale: 'input' }),
  };
  const sites = loraSites(model.graph, located.attentions, grafts, 1);
  const weights = new Map(
    sites.map(({ layer }) => [layer.weight, model.graph.initializers.get(layer.weight)!.raw!.segments[0]!]),
  );
  const passes = task.drop
    ? dropPasses(located, adapter.tokens, stamp)
    : graftPasses(
        planGraft(model.graph, located, grafts, options),
        stamp,
        sites.length === 0 ? null : mergeLora(sites, weights),
      );
  if (task.batch) passes.push(...batchPasses(stamp));
  const { passes: results } = runPasses(model, passes);
  await adapter.close();
  const { textInput } = located;
  const attention = located.attentions.find(({ selected }) => selected)!;
  const shapesOfBase = baseShapes(model, textInput, attention);
  let before = model.graph;
  let shapes = shapesOfBase;
  const steps = passes.map((pass, i): Step => {
    const { edits } = results[i]!;
    const after = apply(before, edits);
    shapes = withInserted(shapes, edits, after, attention, textInput);
    const step = { pass, edits, before, after, shapes };
    before = after;
    return step;
  });
  return {
    attention,
    textInput,
    base: model.graph,
    baseShapes: shapesOfBase,
    steps,
    isWhole: task.batch ?? false,
  };
}

function content(file: string): Uint8Array {
  const bytes = readFileSync(file);
  return file.endsWith('.gz') ? gunzipSync(bytes) : bytes;
}

/** The nodes of one cross-attention in the base: to_q, to_k, to_v, what lies between them and to_out, and to_out. */
export function siteNodes(graph: Graph, { key, value, cone, exit }: CrossAttention): Node[] {
  const inside = new Set<Node>([key.output, value.output, ...cone].map((id) => graph.producer(id)!));
  // The query's way from to_q: whatever the cone reads and does not make, up to the multiplication.
  const pending = cone.flatMap((id) => graph.producer(id)!.inputs);
  for (let input = pending.pop(); input !== undefined; input = pending.pop()) {
    const node = graph.producer(input);
    if (node === undefined || inside.has(node) || !['Transpose', 'Reshape', 'MatMul'].includes(node.opType))
      continue;
    inside.add(node);
    if (node.opType !== 'MatMul') pending.push(node.inputs[0]!);
  }
  inside.add(graph.producer(exit.node)!);
  return [...inside];
}
