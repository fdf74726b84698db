import type { Aspect } from './model-diff.js';

/** An aspect for people, in a few words; empty where its kind says all. `shorten` cuts names and values that come from the files. */
export function describeAspect(aspect: Aspect, shorten: (text: string) => string = (text) => text): string {
  switch (aspect.kind) {
    case 'added':
    case 'removed':
      return '';
    case 'changed': {
      const { what, from, to } = aspect;
      // Bytes that say nothing in words.
      if (from === null && to === null) return what;
      // It has no short text; the new side says from where on it is another.
      if (what === 'data') return `data: ${to}`;
      return `${what}: ${shorten(from ?? 'nothing')} → ${shorten(to ?? 'nothing')}`;
    }
    case 'rewired':
      return `input ${aspect.input}: ${shorten(aspect.from)} → ${shorten(aspect.to)}`;
    case 'renamed':
    case 'moved':
      return `${aspect.what}: ${shorten(String(aspect.from))} → ${shorten(String(aspect.to))}`;
  }
}
