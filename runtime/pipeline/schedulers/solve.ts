/**
 * Solves a system of a few linear equations, by elimination with the largest pivots.
 * @param matrix square, row by row
 */
export function solve(matrix: readonly (readonly number[])[], vector: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, vector[i]!]);
  for (const [i] of rows.entries()) {
    const pivot = rows.reduce(
      (best, row, j) => (j > i && Math.abs(row[i]!) > Math.abs(rows[best]![i]!) ? j : best),
      i,
    );
    [rows[i], rows[pivot]] = [rows[pivot]!, rows[i]!];
    for (const row of rows.slice(i + 1)) {
      const factor = row[i]! / rows[i]![i]!;
      for (let k = i; k < row.length; k++) row[k]! -= factor * rows[i]![k]!;
    }
  }
  const solution: number[] = [];
  for (let i = rows.length - 1; i >= 0; i--) {
    const row = rows[i]!;
    const known = solution.reduce((sum, value, k) => sum + row[i + 1 + k]! * value, 0);
    solution.unshift((row.at(-1)! - known) / row[i]!);
  }
  return solution;
}
