import { Command } from 'commander';
import { type AdapterDescription, inspect, type ModelDescription } from '../inspect.js';
import { row } from './print-report.js';
import { size } from './progress.js';
import { collect } from './repeated-option.js';
import type { Terminal } from './terminal.js';

interface InspectFlags {
  readonly pattern: string[];
  readonly textInput?: string;
  readonly json?: true;
}

/** `ipgraft inspect`. */
export function inspectCommand({ print }: Terminal): Command {
  return new Command('inspect')
    .description('say what a model or an adapter is')
    .argument('<file>', 'an ONNX model or an IP-Adapter checkpoint')
    .option('--pattern <pattern>', 'which scopes to look for (repeatable)', collect, [])
    .option('--text-input <name>', 'the input with the text embeddings')
    .option('--json', 'print as JSON')
    .action(async (file: string, { pattern, textInput, json }: InspectFlags) => {
      const found = await inspect(file, { patterns: pattern, ...(textInput !== undefined && { textInput }) });
      if (json) print(JSON.stringify(found, null, 2));
      else if (found.kind === 'model') printModel(found, print);
      else printAdapter(found, print);
    });
}

function printModel(model: ModelDescription, print: Terminal['print']): void {
  const opsets = Object.entries(model.opsets).map(([domain, version]) => `${domain} ${version}`);
  row(print, 'model', `${model.file}  ${size(model.bytes)}, IR ${model.irVersion}, ${opsets.join(', ')}`);
  row(print, 'graph', `${model.nodes} nodes, ${model.initializers} initializers`);
  for (const { name, type, shape } of model.inputs)
    row(print, 'input', `${name}  ${type}[${shape?.join(', ') ?? '?'}]`);
  for (const { name, type, shape } of model.outputs)
    row(print, 'output', `${name}  ${type}[${shape?.join(', ') ?? '?'}]`);
  if (model.patched !== null) {
    for (const [key, value] of Object.entries(model.patched)) row(print, 'patched', `${key} = ${value}`);
    row(print, 'journal', `${model.journal} edits; \`ipgraft strip\` undoes them`);
    return;
  }
  row(print, 'text', `${model.textInput}`);
  for (const { id, scope, source, width, textWidth, type, cone } of model.crossAttentions) {
    row(print, `id ${id}`, `${scope}  ${textWidth} → ${width} ${type}, ${cone} nodes to clone, by ${source}`);
  }
}

function printAdapter(adapter: AdapterDescription, print: Terminal['print']): void {
  row(print, 'adapter', `${adapter.file}  ${adapter.format}, ${adapter.family}`);
  row(print, 'tokens', `${adapter.tokens} of width ${adapter.tokenWidth}`);
  const reads = adapter.reads === 'pooled' ? 'embeddings' : 'the last but one hidden states';
  const encoder = adapter.encoder === null ? '' : ` (${adapter.encoder})`;
  row(print, 'encoder', `${reads} of width ${adapter.embeddingWidth}${encoder}`);
  if (adapter.faceWidth !== null) row(print, 'face', `embeddings of width ${adapter.faceWidth}`);
  if (adapter.lora > 0) row(print, 'lora', `changes ${adapter.lora} linear layers of the UNet`);
  row(print, 'sha256', adapter.sha256);
  for (const { id, shape, dtype } of adapter.layers)
    row(print, `id ${id}`, `to_k_ip, to_v_ip  ${dtype}[${shape.join(', ')}]`);
}
