import type { JournalEntry } from '../edit/journal.js';

/** What of a model is compared: its own fields, and the kinds of records in it. */
export const SUBJECTS = [
  'model',
  'opset',
  'metadata',
  'function',
  'input',
  'output',
  'initializer',
  'node',
  'value',
] as const;

/** One of {@link SUBJECTS}. */
export type Subject = (typeof SUBJECTS)[number];

/** One way in which a thing in A differs from what it is in B. */
export type Aspect =
  | { readonly kind: 'added' }
  | { readonly kind: 'removed' }
  /** It says something else: which attribute, dimension, dtype, data or other part, and what it said, in words. */
  | {
      readonly kind: 'changed';
      readonly what: string;
      readonly from: string | null;
      readonly to: string | null;
    }
  /** One of a node's inputs reads a value that is not the one it read. */
  | { readonly kind: 'rewired'; readonly input: number; readonly from: string; readonly to: string }
  /** The same thing under another name. */
  | { readonly kind: 'renamed'; readonly what: string; readonly from: string; readonly to: string }
  /** It stands elsewhere among its kind, by position, or its data lies elsewhere, by file and offset. */
  | {
      readonly kind: 'moved';
      readonly what: 'position' | 'data';
      readonly from: string | number;
      readonly to: string | number;
    };

/** The kinds of {@link Aspect}, the one that counts most first: a change is counted as the first kind that it has. */
export const KINDS = ['added', 'removed', 'changed', 'rewired', 'renamed', 'moved'] as const;

/** One of {@link KINDS}. */
export type Kind = (typeof KINDS)[number];

/** Something that is not the same in both models. */
export interface Change {
  readonly subject: Subject;
  /** What it is called in A, `null` where it is new. A node is called by the first value that it makes. */
  readonly a: string | null;
  /** What it is called in B, `null` where it is gone. */
  readonly b: string | null;
  /** For people: a node's operator and name, a tensor's dtype and shape; empty where the name says it. */
  readonly label: string;
  /** Where inside: empty in the main graph, else the function or the node and attribute whose graph holds it. */
  readonly scope: string;
  /** At least one. */
  readonly aspects: readonly Aspect[];
}

/** How many of a kind of record are the same in every byte, and how many are not, by the kind of change that counts most. */
export type Counts = Readonly<Record<'unchanged' | Kind, number>>;

/** One of the two models. Bytes of the model file alone. */
export interface Side {
  readonly file: string;
  readonly bytes: number;
  readonly irVersion: number;
  readonly opset: number;
  readonly nodes: number;
}

/** What B says was done to A, held against what differs. */
export interface Proof {
  /** Whether every change is one that B declares, every declared edit is there, and undoing them gives A, byte for byte. */
  readonly holds: boolean;
  /** Where the declared edits come from: B's journal, or the compilation done again with the adapter's file. */
  readonly source: 'journal' | 'recomputed';
  /** How many edits are declared; of several of one thing the last counts. */
  readonly edits: number;
  /** Declared edits by kind, with the changes that each explains as indices into `changes`. */
  readonly explained: readonly { readonly edit: JournalEntry['kind']; readonly changes: readonly number[] }[];
  /** Changes that no edit declares, as indices into `changes`. */
  readonly unexplained: readonly number[];
  /** Declared edits that are not there, and other faults, in words. */
  readonly faults: readonly string[];
  /** What was not compared, and what to give for it to be, in words. */
  readonly open: readonly string[];
}

/** How model B differs from model A. */
export interface ModelDiff {
  readonly a: Side;
  readonly b: Side;
  readonly counts: Readonly<Record<Subject, Counts>>;
  /** Everything that differs, in the order of {@link SUBJECTS} and then of the files. */
  readonly changes: readonly Change[];
  /** `null` where B does not say that it was made of A. */
  readonly proof: Proof | null;
}
