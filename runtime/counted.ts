/** `1 node`, `1,234 nodes`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${grouped(count)} ${count === 1 ? noun : plural}`;
}

/** `1,234,567`. */
export function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
