import { boxesOf, type UnetBox } from '../../unet-boxes.js';
import { element } from '../elements.js';
import type { PlacedLayer } from './layer-presets.js';

/** The scale of a bar that fills its block. */
export const HIGHEST_SCALE = 1.5;
/** By how much a key changes a bar, and with Page Up and Page Down. */
const STEP = 0.05;
const PAGE = 0.25;
/** Pixels at a bar's ends that are its lowest and its highest scale. */
const EDGE = 3;

/**
 * The UNet as its blocks, down on the left, up on the right, the middle below; each cross-attention a bar as high as its scale. A pointer that is
 * drawn over bars sets them. By keys the map is one stop: left and right go from bar to bar, up and down change it, with Shift its whole block.
 */
export class ScaleMap {
  readonly element: HTMLElement;
  private readonly bars = new Map<number, HTMLElement>();
  /** By the index of a layer: its block. */
  private readonly blocks = new Map<number, readonly number[]>();
  /** Indices in the order in which the UNet runs them. */
  private readonly order: readonly number[];
  private readonly onChange: ((changed: ReadonlyMap<number, number>) => void) | undefined;
  private scales: readonly number[] = [];

  /** @param onChange gets scales by index; without it the map only shows them */
  constructor(
    name: string,
    layers: readonly PlacedLayer[],
    onChange?: (changed: ReadonlyMap<number, number>) => void,
  ) {
    this.onChange = onChange;
    // Blocks without cross-attentions have no layer to tell of them, but their opposite has.
    const deepest = Math.max(
      0,
      ...layers.map(({ place }) => (place.part === 'mid' ? 0 : place.numbers[0]! + 1)),
    );
    const { down, mid, up } = boxesOf(layers, { down: deepest, up: deepest });
    const side = (part: string, boxes: readonly UnetBox<PlacedLayer>[]) =>
      element('div', { class: `way ${part}` }, ...boxes.map((box) => this.drawBlock(box)));
    this.element = element(
      'div',
      { class: 'scale-map', role: 'group', 'aria-label': `Scales of ${name} by layer` },
      side('down', down),
      side('up', up),
      side('mid', [mid]),
    );
    this.order = [...down, mid, ...up.toReversed()].flatMap(({ rows }) =>
      rows.flat().map(({ index }) => index),
    );
    if (onChange === undefined) return;
    this.bars.get(this.order[0] ?? -1)?.setAttribute('tabindex', '0');
    this.element.addEventListener('pointerdown', (event) => this.startDrawing(event));
    this.element.addEventListener('keydown', (event) => this.onKey(event));
    this.element.addEventListener('focusin', (event) => this.moveStop(event.target as HTMLElement));
  }

  /** Draws these scales, in checkpoint order. */
  show(scales: readonly number[]): void {
    this.scales = scales;
    for (const [index, bar] of this.bars) {
      const scale = scales[index] ?? 0;
      bar.style.setProperty(
        '--level',
        `${(Math.min(Math.max(scale, 0), HIGHEST_SCALE) / HIGHEST_SCALE) * 100}%`,
      );
      bar.title = `${bar.dataset.path}: ${shortNumber(scale)}`;
      bar.classList.toggle('off', scale === 0);
      if (this.onChange !== undefined) bar.setAttribute('aria-valuenow', shortNumber(scale));
    }
  }

  private drawBlock({ name, rows }: UnetBox<PlacedLayer>): HTMLElement {
    const indices = rows.flat().map(({ index }) => index);
    const drawn = rows.map((row) => {
      const bars = element('div', { class: 'bars' }, ...row.map((layer) => this.drawBar(layer, indices)));
      bars.style.setProperty('--bars', `${row.length}`);
      return bars;
    });
    const title = element('span', { class: 'block-name' }, name.replace(/_blocks?\.?/, ' ').trim());
    return element(
      'div',
      { class: indices.length === 0 ? 'block empty' : 'block' },
      title,
      element('div', { class: 'attentions' }, ...drawn),
    );
  }

  private drawBar({ index, path, id }: PlacedLayer, block: readonly number[]): HTMLElement {
    const isEditable = this.onChange !== undefined;
    const bar = element('div', {
      class: 'bar-of',
      'data-index': `${index}`,
      'data-path': path,
      ...(isEditable && {
        role: 'slider',
        tabindex: '-1',
        'aria-orientation': 'vertical',
        'aria-valuemin': '0',
        'aria-valuemax': `${HIGHEST_SCALE}`,
        'aria-label': `${path}, id ${id}`,
      }),
    });
    this.bars.set(index, bar);
    this.blocks.set(index, block);
    return bar;
  }

  private startDrawing(event: PointerEvent): void {
    if (event.button !== 0 || this.draw(event) === undefined) return;
    event.preventDefault();
    this.element.setPointerCapture(event.pointerId);
    const draw = (moved: PointerEvent) => void this.draw(moved);
    const end = () => {
      this.element.removeEventListener('pointermove', draw);
      for (const kind of ['pointerup', 'pointercancel'] as const) this.element.removeEventListener(kind, end);
    };
    this.element.addEventListener('pointermove', draw);
    for (const kind of ['pointerup', 'pointercancel'] as const) this.element.addEventListener(kind, end);
  }

  /** Sets the bar that the pointer is over, and answers with it. */
  private draw({ clientX, clientY }: PointerEvent): HTMLElement | undefined {
    const bar = document
      .elementsFromPoint(clientX, clientY)
      .find((each): each is HTMLElement => each instanceof HTMLElement && each.dataset.index !== undefined);
    if (bar === undefined || !this.element.contains(bar)) return undefined;
    bar.focus({ preventScroll: true });
    const { bottom, height } = bar.getBoundingClientRect();
    // Both ends are easy to hit.
    const share = (bottom - EDGE - clientY) / (height - 2 * EDGE);
    this.set([Number(bar.dataset.index)], () => share * HIGHEST_SCALE);
    return bar;
  }

  private onKey(event: KeyboardEvent): void {
    const index = Number((event.target as HTMLElement).dataset.index);
    if (Number.isNaN(index) || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.order.indexOf(index);
    const go = (to: number) => this.bars.get(this.order[to] ?? -1)?.focus();
    const among = event.shiftKey ? this.blocks.get(index)! : [index];
    const by = (change: number) => this.set(among, (scale) => scale + change);
    const keys: Readonly<Record<string, () => void>> = {
      ArrowLeft: () => go(at - 1),
      ArrowRight: () => go(at + 1),
      ArrowUp: () => by(STEP),
      ArrowDown: () => by(-STEP),
      PageUp: () => by(PAGE),
      PageDown: () => by(-PAGE),
      Home: () => this.set(among, () => 0),
      End: () => this.set(among, () => HIGHEST_SCALE),
    };
    if (keys[event.key] === undefined) return;
    event.preventDefault();
    keys[event.key]!();
  }

  private set(indices: readonly number[], change: (scale: number) => number): void {
    const rounded = (scale: number) => Math.round(Math.min(Math.max(scale, 0), HIGHEST_SCALE) / STEP) * STEP;
    this.onChange!(new Map(indices.map((index) => [index, rounded(change(this.scales[index]!))])));
  }

  private moveStop(bar: HTMLElement): void {
    if (bar.dataset.index === undefined) return;
    for (const each of this.bars.values()) each.setAttribute('tabindex', each === bar ? '0' : '-1');
  }
}

/** Two places at most. */
export function shortNumber(value: number): string {
  return `${Math.round(value * 100) / 100}`;
}
