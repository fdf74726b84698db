/** `1 input`, `2 inputs`. */
export function counted(values: readonly unknown[], what: string): string {
  return `${values.length} ${what}${values.length === 1 ? '' : 's'}`;
}
