/** What is longer, setTimeout takes for nothing. Milliseconds. */
export const LONGEST_TIMER = 2 ** 31 - 1;
