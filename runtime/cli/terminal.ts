/** What a command is given beside its options. */
export interface Terminal {
  /** Prints a line on standard output. */
  readonly print: (line: string) => void;
  /** Set when the user presses Ctrl-C. */
  readonly signal: AbortSignal;
  /** Makes the exit code 1: the command did its work and what it found is not good. */
  readonly fail: () => void;
}
