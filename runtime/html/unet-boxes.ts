import { moduleOfParameter, modulePath } from '../../compiler/analysis/scope.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import { findPlace, type Part, type Place } from '../../passes/checkpoint-order.js';

/** How many blocks a UNet has on the way down and on the way up. */
export type Blocks = Readonly<Record<'down' | 'up', number>>;

interface Placed {
  readonly place: Place;
}

/** A block of a UNet with its cross-attentions. */
export interface UnetBox<S> {
  readonly name: string;
  readonly part: Part;
  /** Sites by the layer of the block that holds them. */
  readonly rows: readonly (readonly S[])[];
}

/** Published UNets have four; what has more is drawn in one block each way. */
const MOST_BLOCKS = 12;
const SITES_IN_ROW = 10;

/** The blocks that the names of a graph's nodes and weights tell of, those without cross-attentions among them. */
export function blocksOf(graph: Graph): Blocks {
  const counts = { down: 0, up: 0 };
  const paths = [
    ...graph.nodes.map((node) => modulePath(node.name)),
    ...[...graph.initializers.keys()].map(moduleOfParameter),
  ];
  for (const path of paths) {
    const place = path === undefined ? undefined : findPlace(path);
    if (place === undefined || place.part === 'mid') continue;
    const block = place.numbers[0] ?? 0;
    if (block < MOST_BLOCKS) counts[place.part] = Math.max(counts[place.part], block + 1);
  }
  return counts;
}

/** The blocks with their sites, each side from the top: the first block of the way up is the lowest. */
export function boxesOf<S extends Placed>(
  sites: readonly S[],
  blocks: Blocks,
): { down: UnetBox<S>[]; mid: UnetBox<S>; up: UnetBox<S>[] } {
  // Names that are made up for a model without any count attentions, not blocks.
  const isFlat = sites.some(
    ({ place }) =>
      place.part !== 'mid' && (place.numbers.length < 2 || (place.numbers[0] ?? 0) >= MOST_BLOCKS),
  );
  const make = (part: Part, count: number): UnetBox<S>[] =>
    Array.from({ length: count }, (_, block) => {
      const own = sites.filter(
        ({ place }) => place.part === part && (isFlat || part === 'mid' || place.numbers[0] === block),
      );
      const layers = new Map<number, S[]>();
      for (const site of own) {
        const layer = isFlat ? 0 : (site.place.numbers.at(-2) ?? 0);
        layers.set(layer, [...(layers.get(layer) ?? []), site]);
      }
      const rows = [...layers.values()].flatMap((row) => chunks(row, SITES_IN_ROW));
      const name = part === 'mid' ? 'mid_block' : isFlat ? `${part}_blocks` : `${part}_blocks.${block}`;
      return { name, part, rows };
    });
  const countOf = (part: 'down' | 'up') =>
    isFlat
      ? 1
      : Math.max(
          blocks[part],
          1,
          ...sites.filter(({ place }) => place.part === part).map(({ place }) => place.numbers[0]! + 1),
        );
  return {
    down: make('down', countOf('down')),
    mid: make('mid', 1)[0]!,
    up: make('up', countOf('up')).toReversed(),
  };
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}
