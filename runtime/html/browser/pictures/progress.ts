import { byId, element } from '../elements.js';
import { duration } from './duration.js';

/** Steps whose time says how long the next ones take. */
const RECENT = 5;

/** What is seen and heard while pictures are made. */
export class Progress {
  private readonly words = byId('progress-words');
  private readonly bar = byId<HTMLProgressElement>('bar');
  private times: number[] = [];

  /** Something was asked for. */
  start(): void {
    this.times = [];
    this.wait('Asking the server');
  }

  /** @param position how many requests are before this one */
  queue(position: number): void {
    this.wait(
      position === 0
        ? 'Next in the queue'
        : `Waiting: ${position} ${position === 1 ? 'request is' : 'requests are'} before this one`,
    );
  }

  begin(steps: number): void {
    this.times = [performance.now()];
    this.wait('Reading the prompt');
    this.bar.max = steps;
  }

  step(step: number, steps: number): void {
    this.times = [...this.times, performance.now()].slice(-RECENT - 1);
    const mean = (this.times.at(-1)! - this.times[0]!) / (this.times.length - 1) / 1000;
    this.bar.max = steps;
    this.bar.value = step;
    const rest = step === steps ? 'decoding' : `about ${duration(mean * (steps - step))} left`;
    this.words.textContent = `Step ${step} of ${steps} · ${duration(mean)} a step · ${rest}`;
    // Not each: whoever listens wants to hear other things too.
    if (step === steps || Math.floor((4 * step) / steps) > Math.floor((4 * (step - 1)) / steps))
      say(`Step ${step} of ${steps}`);
  }

  /** Says how it ended. */
  end(words: string): void {
    say(words);
  }

  private wait(words: string): void {
    this.bar.removeAttribute('value');
    this.words.textContent = words;
    say(words);
  }
}

/** Says something to those who do not see the page. */
function say(words: string): void {
  byId('status').replaceChildren(element('span', {}, words));
}
