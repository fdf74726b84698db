import assert from 'node:assert/strict';

/** What an answer must not have: where files of this machine lie, and where in the program an error was made. */
const PRIVATE =
  /\/(tmp|home|root|usr|var|node_modules|dist|runtime)\/|\.(onnx|[cm]?[jt]s)\b|\n\s+at |node:internal|(Type|Range|Syntax)Error/;

/** Holds an answer to saying nothing of the machine and the program. */
export function tellsNothing(answer: string): void {
  assert.doesNotMatch(answer, PRIVATE);
}
