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
  let start = performance.now();
  const say = (what: string) => {
    spinner.text = what;
    // The models block the event loop: nobody else draws while they run.
    spinner.render();
    start = performance.now();
  };
  return {
    say,
    step(index, count) {
      const done = index + 1;
      const perStep = (performance.now() - start) / 1000 / done;
      spinner.text = stepText(done, count, perStep);
      spinner.render();
    },
    stop: () => void spinner.stop(),
  };
}

/** `████░░░░ 4/8  1.23 s a step, 5 s left` */
export function stepText(done: number, count: number, perStep: number): string {
  const filled = Math.round((CELLS * done) / count);
  const bar = '█'.repeat(filled) + '░'.repeat(CELLS - filled);
  const left = Math.ceil(perStep * (count - done));
  return `${bar} ${done}/${count}  ${perStep.toPrecision(3)} s a step, ${left} s left`;
}
