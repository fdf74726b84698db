/** Cells of the bar. */
const CELLS = 24;

/** Shows on a terminal's standard error how far a picture is: step, time per step, time left. */
export interface StepProgress {
  /** Says what is being done while there are no steps. */
  say(what: string): void;
  /** Says that step `index` of `count` is done. */
  step(index: number, count: number): void;
  stop(): void;
}

/** Begins to show; does nothing where standard error is no terminal. */
export async function stepProgress(): Promise<StepProgress> {
  if (!process.stderr.isTTY) return { say() {}, step() {}, stop() {} };
  const { default: ora } = await import('ora');
  const spinner = ora({ stream: process.stderr, discardStdin: false }).start();
  let first = 0;
  const say = (what: string) => {
    spinner.text = what;
    // The models block the event loop: nobody else draws while they run.
    spinner.render();
  };
  return {
    say,
    step(index, count) {
      const now = performance.now();
      // The first step has waited for models to be loaded: it tells nothing of those behind it.
      if (index === 0) first = now;
      spinner.text = stepText(index + 1, count, index === 0 ? null : (now - first) / 1000 / index);
      spinner.render();
    },
    stop: () => void spinner.stop(),
  };
}

/** `████░░░░ 4/8  1.23 s a step, 5 s left`, and where seconds per step are not known the bar alone. */
function stepText(done: number, count: number, perStep: number | null): string {
  const filled = Math.round((CELLS * done) / count);
  const bar = '█'.repeat(filled) + '░'.repeat(CELLS - filled);
  if (perStep === null) return `${bar} ${done}/${count}`;
  const left = Math.ceil(perStep * (count - done));
  return `${bar} ${done}/${count}  ${perStep.toPrecision(3)} s a step, ${left} s left`;
}
