/** One error of the catalogue. */
export interface Entry {
  /** One line for `docs/errors.md`: when this error appears. */
  readonly when: string;
  /** What the user can do about it. */
  readonly hint: string;
}
