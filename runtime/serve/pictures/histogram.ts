/** Counts of values by size, as Prometheus has them. */
export class Histogram {
  private readonly bounds: readonly number[];
  private readonly counts: number[];
  private sum = 0;

  /** @param bounds of the buckets, growing; one more is without bound */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const at = this.bounds.findIndex((bound) => value <= bound);
    this.counts[at === -1 ? this.bounds.length : at]! += 1;
    this.sum += value;
  }

  /** Of all values; 0 before the first. */
  get mean(): number {
    return this.count === 0 ? 0 : this.sum / this.count;
  }

  /** Its lines in Prometheus' text format, without their head. @param labels as they stand in braces */
  lines(name: string, labels: string): string {
    let below = 0;
    const buckets = [...this.bounds, '+Inf'].map((bound, i) => {
      below += this.counts[i]!;
      return `${name}_bucket{${labels},le="${bound}"} ${below}\n`;
    });
    return `${buckets.join('')}${name}_sum{${labels}} ${this.sum}\n${name}_count{${labels}} ${this.count}\n`;
  }

  private get count(): number {
    return this.counts.reduce((sum, each) => sum + each, 0);
  }
}
