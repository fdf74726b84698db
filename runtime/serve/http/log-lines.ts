import type { Writable } from 'node:stream';

/** Bytes of lines that wait for whoever reads them, at most. */
const MOST_WAITING = 2 ** 20;

/** Pino's number for a warning. */
const WARN = 40;

/**
 * Where log lines go on to a stream that somebody reads slowly, or not any more: what does not fit into 1 MiB that waits is lost, and the next line
 * that fits comes behind one that says how many were. Nothing waits for the reader, and what the log holds in memory does not grow.
 */
export function logLines(stream: Writable): { write(line: string): void } {
  let lost = 0;
  // A reader that has gone is no reason to end.
  stream.on('error', () => {});
  return {
    write(line) {
      if (stream.writableLength > MOST_WAITING) lost++;
      else {
        const gap = { level: WARN, time: Date.now(), lost, msg: 'lines were lost: nobody read them' };
        stream.write(lost === 0 ? line : `${JSON.stringify(gap)}\n${line}`);
        lost = 0;
      }
    },
  };
}
