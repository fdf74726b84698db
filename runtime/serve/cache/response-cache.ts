import { LRUCache } from 'lru-cache';
import type { Tensor } from '../tensor.js';

/** The answers of one model, as long as it is loaded. */
export interface Shelf {
  get(key: string): readonly Tensor[] | undefined;
  /** Keeps an answer whose bytes stay as they are; one that is larger than the whole cache is not kept. */
  set(key: string, outputs: readonly Tensor[]): void;
  /** Forgets everything, and keeps nothing any more. */
  drop(): void;
}

/** What an entry takes beside its tensors' bytes: key, names, shapes. Rounded up. */
const OVERHEAD = 1024;

/** Answers of models by content, in a bound of memory that all models share; what was not asked for longest goes first. */
export class ResponseCache {
  /** Bytes. */
  readonly limit: number;
  private readonly entries: LRUCache<string, readonly Tensor[]>;
  private shelves = 0;

  /** @param limit bytes, from 1 on */
  constructor(limit: number) {
    this.limit = limit;
    this.entries = new LRUCache({ maxSize: limit, sizeCalculation: sizeOf });
  }

  /** Bytes that are taken. */
  get bytes(): number {
    return this.entries.calculatedSize;
  }

  /** How many answers are kept. */
  get size(): number {
    return this.entries.size;
  }

  /** Room for the answers of one load of a model: no other load, even of the same name and version, sees them. */
  shelf(): Shelf {
    const prefix = `${this.shelves++}/`;
    let isOpen = true;
    return {
      get: (key) => this.entries.get(prefix + key),
      set: (key, outputs) => {
        if (isOpen) this.entries.set(prefix + key, outputs);
      },
      drop: () => {
        isOpen = false;
        for (const key of [...this.entries.keys()]) if (key.startsWith(prefix)) this.entries.delete(key);
      },
    };
  }
}

/** Whole buffers: tensors of one answer lie in one, and a view keeps all of it. */
function sizeOf(outputs: readonly Tensor[]): number {
  const buffers = new Set(outputs.map(({ data }) => data.buffer));
  return [...buffers].reduce((sum, { byteLength }) => sum + byteLength, OVERHEAD);
}
