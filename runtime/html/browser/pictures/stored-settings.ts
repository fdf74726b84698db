import type { Settings } from './wish.js';

/** What the settings are called in the browser's storage for this server. */
const KEY = 'ipgraft-pictures';

/** Writes settings down for the next visit: no images, no token. */
export function storeSettings(settings: Settings, keepsSeed: boolean): void {
  const { model, prompt, negative, width, height, steps, seed, guidance, scheduler, pictures, strength } =
    settings;
  const adapters = settings.adapters.map(({ scale, shares, start, end }) => ({ scale, shares, start, end }));
  const stored = {
    model,
    prompt,
    negative,
    width,
    height,
    steps,
    seed,
    guidance,
    scheduler,
    pictures,
    strength,
  };
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...stored, adapters, keepsSeed }));
  } catch {
    // A browser that keeps nothing keeps no settings.
  }
}

/** What was written down, unchecked. */
export function storedSettings(): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '{}') ?? {};
  } catch {
    return {};
  }
}

/** `first`, with what was written down in its place where that is of its kind: other versions and other pipelines wrote other things. */
export function restored<T>(first: T, stored: unknown): T {
  if (Array.isArray(first)) {
    const fits = Array.isArray(stored) && stored.length === first.length;
    return fits ? (first.map((each, i) => restored(each, stored[i])) as T) : first;
  }
  if (typeof first === 'object' && first !== null) {
    const other = (stored ?? {}) as Readonly<Record<string, unknown>>;
    return Object.fromEntries(
      Object.entries(first).map(([key, value]) => [key, restored(value, other[key])]),
    ) as T;
  }
  return typeof stored === typeof first ? (stored as T) : first;
}
