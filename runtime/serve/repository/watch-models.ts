import type { LoadedModel } from './loaded-model.js';

/** A model that answers, by its name in the log. */
export type WatchedModel = Pick<LoadedModel, 'name' | 'model'>;

/** Milliseconds between two looks at the files of the models. */
const INTERVAL = 5000;

/**
 * Says, once each, that a model answers no more, that it does again, and that its files are not what it was loaded from.
 * @param ready the models that are loaded at the moment
 * @returns what ends it
 */
export function watchModels(
  ready: () => readonly WatchedModel[],
  note: (text: string) => void,
  interval = INTERVAL,
): () => void {
  const said = new WeakMap<WatchedModel, string>();
  const look = async () => {
    for (const loaded of ready()) {
      const found = await stateOf(loaded);
      if (found === (said.get(loaded) ?? ANSWERS)) continue;
      said.set(loaded, found);
      note(`model “${loaded.name}”: ${found}`);
    }
  };
  let isLooking = false;
  const timer = setInterval(async () => {
    if (isLooking) return;
    isLooking = true;
    await look();
    isLooking = false;
  }, interval);
  timer.unref();
  return () => clearInterval(timer);
}

const ANSWERS = 'it answers, from the files that are there';

async function stateOf({ model }: WatchedModel): Promise<string> {
  if (model.fault) return `${model.fault.message}: ${(model.fault.cause as Error | undefined)?.message}`;
  if (await model.hasChanged?.())
    return 'its files have changed since it was loaded: what was loaded answers';
  return ANSWERS;
}
