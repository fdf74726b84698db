/** Whole seconds after which whoever was refused may ask again, where there will be room in about `seconds`: one at least, a minute at most. */
export function retryAfter(seconds: number): number {
  return Math.min(60, Math.max(1, Math.ceil(seconds)));
}
