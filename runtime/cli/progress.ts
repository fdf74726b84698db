/** Below this there is nothing to watch. Bytes. */
const WORTH_SHOWING = 32 * 1024 * 1024;

/** Shows how far a long write is, on a terminal's standard error only: share, rate, time left. */
export async function withProgress<T>(
  what: string,
  work: (onProgress: (done: number, total: number) => void) => Promise<T>,
): Promise<T> {
  if (!process.stderr.isTTY) return work(() => {});
  // Not before somebody watches: it is a fifth of all code that there is to load.
  const { default: ora } = await import('ora');
  const spinner = ora({ text: what, stream: process.stderr, discardStdin: false });
  const start = performance.now();
  try {
    return await work((done, total) => {
      if (total < WORTH_SHOWING) return;
      if (!spinner.isSpinning) spinner.start();
      const seconds = (performance.now() - start) / 1000;
      const rate = done / Math.max(seconds, 1e-3);
      const left = Math.ceil((total - done) / Math.max(rate, 1));
      spinner.text = `${what} ${Math.floor((100 * done) / total)}%  ${size(rate)}/s  ${left} s left`;
    });
  } finally {
    spinner.stop();
  }
}

/** `44642768` → `44.6 MB`. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB'];
  let unit = 0;
  let amount = bytes;
  for (; amount >= 1000 && unit < units.length - 1; unit++) amount /= 1000;
  return `${unit === 0 ? amount : amount.toFixed(1)} ${units[unit]}`;
}
