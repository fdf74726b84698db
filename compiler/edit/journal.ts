import * as z from 'zod/mini';
import { IpgraftError } from '../errors.js';
import type { Edit } from './edit.js';

const count = z.int().check(z.nonnegative());
const dimension = z.union([z.number(), z.string(), z.null()]);

const entry = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('insert-node'), value: z.string() }),
  z.strictObject({
    kind: z.literal('rewire'),
    node: z.string(),
    input: count,
    from: z.string(),
    to: z.string(),
  }),
  z.strictObject({ kind: z.literal('insert-initializer'), name: z.string() }),
  z.strictObject({ kind: z.literal('insert-input'), name: z.string() }),
  z.strictObject({
    kind: z.literal('set-input-dimension'),
    input: z.string(),
    axis: count,
    from: dimension,
    to: dimension,
  }),
  z.strictObject({
    kind: z.literal('set-input-shape'),
    input: z.string(),
    from: z.array(dimension),
    to: z.array(dimension),
  }),
  z.strictObject({
    kind: z.literal('set-metadata'),
    key: z.string(),
    from: z.nullable(z.string()),
    to: z.nullable(z.string()),
  }),
]);

/** An edit as a patched file remembers it: what it takes to undo it, without payloads. */
export type JournalEntry = z.infer<typeof entry>;

/** What was done to a graph, in order. */
export type Journal = readonly JournalEntry[];

/** What a patched file must remember of its edits. */
export function journalOf(edits: readonly Edit[]): JournalEntry[] {
  return edits.map((edit) => {
    switch (edit.kind) {
      case 'insert-node':
        return { kind: edit.kind, value: edit.node.outputs.find((name) => name !== '') ?? '' };
      case 'insert-initializer':
        return { kind: edit.kind, name: edit.tensor.name };
      case 'insert-input':
        return { kind: edit.kind, name: edit.input.name };
      case 'rewire':
        return { kind: edit.kind, node: edit.node, input: edit.input, from: edit.from, to: edit.to };
      case 'set-input-shape':
        return { ...edit, from: [...edit.from], to: [...edit.to] };
      default:
        return edit;
    }
  });
}

/** Reads a journal from a file that may be anybody's. @throws IpgraftError `EDIT_JOURNAL_MALFORMED` */
export function parseJournal(json: string): Journal {
  try {
    return z.array(entry).parse(JSON.parse(json));
  } catch (cause) {
    throw new IpgraftError(
      'EDIT_JOURNAL_MALFORMED',
      'sought a list of edits in the model metadata, found something else',
      {},
      { cause },
    );
  }
}
