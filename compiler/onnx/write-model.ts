import { fields } from '../wire/fields.js';
import { Rope } from '../wire/rope.js';
import { record, splice, textRecord } from '../wire/splice.js';
import type { Graph } from './graph.js';
import type { Model } from './read-model.js';
import { ENTRY, GRAPH, MODEL } from './schema.js';
import { readEntry } from './tensor-header.js';

/** Anything of a graph that stands in the file as one record. */
interface Item {
  readonly record: Rope;
  readonly place: number | null;
}

/**
 * The file of a graph that was edited out of `base`: the base's records in the base's order, byte for byte, but for those
 * that an edit changed or removed; new nodes stand where the graph has them, other new records behind the last of
 * their kind. Costs no copy: the rope names ranges of the base file.
 */
export function writeModel(base: Model, graph: Graph): Rope {
  const added = new Map([...graph.metadata].filter(([key]) => !base.graph.metadata.has(key)));
  const body = splice(base.file, (field) => {
    const content = base.file.slice(field.payload, field.end);
    if (field.number === MODEL.graph) {
      const written = writeGraph(content, field.payload, base.graph, graph);
      return written === undefined ? undefined : record(MODEL.graph, written);
    }
    if (field.number !== MODEL.metadata) return undefined;
    const [key, value] = readEntry(content);
    const now = graph.metadata.get(key);
    return now === value ? undefined : now === undefined ? Rope.EMPTY : entryRecord(key, now);
  });
  return Rope.join([body, ...[...added].map(([key, value]) => entryRecord(key, value))]);
}

function writeGraph(message: Rope, offset: number, before: Graph, after: Graph): Rope | undefined {
  const unchanged =
    before.nodes === after.nodes &&
    before.initializers === after.initializers &&
    before.inputs === after.inputs &&
    before.outputs === after.outputs;
  if (unchanged) return undefined;
  const kinds = new Map<number, Item[]>([
    [GRAPH.node, [...after.nodes]],
    [GRAPH.initializer, [...after.initializers.values()]],
    [GRAPH.input, [...after.inputs.values()]],
    [GRAPH.output, [...after.outputs.values()]],
  ]);
  const originals = new Map<number, Rope>();
  for (const items of [
    before.nodes,
    before.initializers.values(),
    before.inputs.values(),
    before.outputs.values(),
  ]) {
    for (const item of items as Iterable<Item>) originals.set(item.place!, item.record);
  }
  const queues = new Map([...kinds].map(([number, items]) => [number, new RecordQueue(number, items)]));
  const lastOfKind = new Map(fields(message).map((field, index) => [field.number, index]));
  const body = splice(message, (field, index) => {
    const queue = queues.get(field.number);
    if (queue === undefined) return undefined;
    const place = offset + field.start;
    const { inserted, item } = queue.take(place);
    const rest = lastOfKind.get(field.number) === index ? queue.rest() : [];
    const kept = item !== undefined && item.record === originals.get(place);
    if (kept && inserted.length === 0 && rest.length === 0) return undefined;
    const own = kept
      ? message.slice(field.start, field.end)
      : item
        ? record(field.number, item.record)
        : Rope.EMPTY;
    return Rope.join([...inserted, own, ...rest]);
  });
  // A kind of which the base has no record at all: at the end, where protobuf takes it as well.
  return Rope.join([body, ...[...queues.values()].flatMap((queue) => queue.rest())]);
}

/** The items of one kind in their order after the edits, handed out along the base's records. */
class RecordQueue {
  private readonly number: number;
  private readonly items: readonly Item[];
  private readonly places: ReadonlySet<number | null>;
  private next = 0;

  constructor(number: number, items: readonly Item[]) {
    this.number = number;
    this.items = items;
    this.places = new Set(items.map((item) => item.place));
  }

  /** The item whose record stood at `place` (none if it was removed), and the new records in front of it. */
  take(place: number): { inserted: Rope[]; item: Item | undefined } {
    if (!this.places.has(place)) return { inserted: [], item: undefined };
    const inserted: Rope[] = [];
    for (;;) {
      const item = this.items[this.next++]!;
      if (item.place === place) return { inserted, item };
      inserted.push(record(this.number, item.record));
    }
  }

  rest(): Rope[] {
    const records = this.items.slice(this.next).map((item) => record(this.number, item.record));
    this.next = this.items.length;
    return records;
  }
}

function entryRecord(key: string, value: string): Rope {
  return record(MODEL.metadata, Rope.join([textRecord(ENTRY.key, key), textRecord(ENTRY.value, value)]));
}
