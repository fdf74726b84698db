/**
 * Which of `positions` must move for the rest to be in ascending order, as few as possible: all but a longest increasing
 * subsequence (Fredman 1975). n log n. Answers indices into `positions`.
 */
export function outOfOrder(positions: readonly number[]): Set<number> {
  /** For each length, the index of the smallest position at which a subsequence of that length ends. */
  const ends: number[] = [];
  const before = new Int32Array(positions.length).fill(-1);
  positions.forEach((position, i) => {
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (positions[ends[middle]!]! < position) low = middle + 1;
      else high = middle;
    }
    before[i] = ends[low - 1] ?? -1;
    ends[low] = i;
  });
  const moved = new Set(positions.keys());
  for (let i = ends.at(-1) ?? -1; i !== -1; i = before[i]!) moved.delete(i);
  return moved;
}
