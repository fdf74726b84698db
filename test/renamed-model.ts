import { GRAPH, MODEL, NODE, TENSOR, VALUE_INFO } from '../compiler/onnx/schema.js';
import { fields, text } from '../compiler/wire/fields.js';
import { Rope } from '../compiler/wire/rope.js';
import { record, splice, textRecord } from '../compiler/wire/splice.js';

/**
 * A model in which values and nodes are called otherwise and nothing else is changed: `rename` is asked once for every value and once
 * for every node, in the order of the file; graph inputs and outputs keep their names.
 */
export function renameAll(
  bytes: Uint8Array,
  rename: (name: string, kind: 'value' | 'node') => string,
): Uint8Array {
  const model = Rope.of(bytes);
  const names = new Map<string, string>([['', '']]);
  const now = (name: string) => {
    if (!names.has(name)) names.set(name, rename(name, 'value'));
    return names.get(name)!;
  };
  const replace = (message: Rope, texts: Readonly<Record<number, (name: string) => string>>) =>
    splice(message, (field) => {
      const change = texts[field.number];
      return change && textRecord(field.number, change(text(message, field)));
    });
  const texts = new Map<number, Readonly<Record<number, (name: string) => string>>>([
    [GRAPH.node, { [NODE.input]: now, [NODE.output]: now, [NODE.name]: (name) => rename(name, 'node') }],
    [GRAPH.initializer, { [TENSOR.name]: now }],
    [GRAPH.valueInfo, { [VALUE_INFO.name]: now }],
  ]);
  const rewritten = splice(model, (field) => {
    if (field.number !== MODEL.graph) return undefined;
    const graph = model.slice(field.payload, field.end);
    for (const { number, payload, end } of fields(graph)) {
      if (number !== GRAPH.input && number !== GRAPH.output) continue;
      const info = graph.slice(payload, end);
      const name = fields(info).find((each) => each.number === VALUE_INFO.name)!;
      names.set(text(info, name), text(info, name));
    }
    const body = splice(graph, (part) => {
      const change = texts.get(part.number);
      return change && record(part.number, replace(graph.slice(part.payload, part.end), change));
    });
    return record(MODEL.graph, body);
  });
  return rewritten.bytes!;
}
