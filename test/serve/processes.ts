import { readdirSync, readFileSync } from 'node:fs';

/** The worker processes below a process, by what Linux says of them. */
export function workersOf(parent = process.pid): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const [stat, command] = [read(pid, 'stat'), read(pid, 'cmdline')];
      // The name in brackets may hold anything; state and parent follow it.
      const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(ppid) === parent && state !== 'Z' && command.includes('worker');
    });
}

/** Whether a process is there and is no zombie. */
export function isAlive(pid: number): boolean {
  const stat = read(pid, 'stat');
  return stat !== '' && stat[stat.lastIndexOf(')') + 2] !== 'Z';
}

/** Waits until something holds. */
export async function until(holds: () => boolean, milliseconds = 10_000): Promise<void> {
  for (const end = Date.now() + milliseconds; !holds(); ) {
    if (Date.now() > end) throw new Error(`${holds} does not hold after ${milliseconds} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
