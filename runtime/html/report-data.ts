/** What a report tells its script, in a `<script>` of its own that is not run; see browser/. */

/** One row of the table of changes, as places in the lists of {@link ChangesData}. */
export type ChangeRow = readonly [
  subject: number,
  kind: number,
  name: string,
  label: string,
  what: string,
  /** Which kind of edit declares it; −1: none does. */
  declared: number,
];

/** The table of changes. */
export interface ChangesData {
  readonly subjects: readonly string[];
  readonly kinds: readonly string[];
  /** Kinds of declared edits; `null` where nothing is declared, and then there is no such column. */
  readonly edits: readonly string[] | null;
  readonly rows: readonly ChangeRow[];
}

/** One cross-attention: which drawing shows it, and what the boxes of that are called. */
export interface SiteData {
  readonly id: number;
  readonly scope: string;
  readonly words: string;
  /** The template `drawing-N`. */
  readonly drawing: number;
  /** Names of the boxes, before and after */
  readonly before: readonly string[];
  readonly after: readonly string[];
}
