import { shown } from '../../markup.js';
import { element } from '../elements.js';
import { ImageField } from './image-field.js';
import { type LayerPreset, layerPresets, placedLayers } from './layer-presets.js';
import { HIGHEST_SCALE, ScaleMap, shortNumber } from './scale-map.js';
import type { ServedAdapter } from './served.js';
import { type AdapterSettings, isOpen } from './wish.js';

/** Why layers have no scale of their own, by who says it. */
const WHY: Readonly<Record<string, string>> = {
  one: 'All layers have one scale: this UNet was compiled with one for all. With --scale layers each has its own.',
  fixed: 'The scale is part of this UNet. Compiled with --scale input or --scale layers it is asked for.',
};

/** An adapter on the page: its images, how strongly they count, where and when. */
export class AdapterField {
  readonly element: HTMLElement;
  readonly images: ImageField;
  private readonly adapter: ServedAdapter;
  private readonly presets: readonly LayerPreset[];
  private readonly map: ScaleMap;
  private readonly scale: HTMLInputElement;
  // No `output`: a label would be its own.
  private readonly scaleValue = element('span', { class: 'value', 'aria-hidden': 'true' });
  private readonly preset = element('select');
  private readonly start: HTMLInputElement;
  private readonly end: HTMLInputElement;
  private readonly when = element('span', { class: 'value' });
  private settings: AdapterSettings;
  private readonly onChange: () => void;

  constructor(adapter: ServedAdapter, i: number, settings: AdapterSettings, onChange: () => void) {
    this.adapter = adapter;
    this.settings = settings;
    this.onChange = onChange;
    const name = shown(adapter.name.replace(/\.(safetensors|bin)$/, ''));
    this.presets = layerPresets(adapter);
    const most = adapter.images;
    this.images = new ImageField(
      most === 1 ? 'Image prompt' : `Image prompts, up to ${most}`,
      most,
      onChange,
    );
    this.map = new ScaleMap(
      name,
      placedLayers(adapter),
      adapter.scale === 'layers' ? (changed) => this.change(withScales(this.settings, changed)) : undefined,
    );
    this.scale = element('input', { type: 'range', min: '0', max: `${HIGHEST_SCALE}`, step: '0.05' });
    this.scale.addEventListener('input', () => this.change({ scale: this.scale.valueAsNumber }));
    this.preset.addEventListener('change', () => {
      const shares = this.presets.find((each) => each.name === this.preset.value)?.shares;
      if (shares !== undefined) this.change({ shares });
    });
    const share = () => element('input', { type: 'range', min: '0', max: '1', step: '0.05' });
    [this.start, this.end] = [share(), share()];
    this.start.setAttribute('aria-label', 'From this share of the steps');
    this.end.setAttribute('aria-label', 'To this share of the steps');
    const shift = (moved: HTMLInputElement) => {
      const [start, end] = [this.start.valueAsNumber, this.end.valueAsNumber];
      if (start <= end) this.change({ start, end });
      else this.change(moved === this.start ? { start, end: start } : { start: end, end });
    };
    for (const field of [this.start, this.end]) field.addEventListener('input', () => shift(field));
    this.element = element(
      'fieldset',
      { class: 'adapter', id: `adapter-${i}` },
      element('legend', {}, name, ...(adapter.family === null ? [] : [element('small', {}, adapter.family)])),
      ...(adapter.encoder
        ? [this.images.element]
        : [
            element(
              'p',
              { class: 'hint' },
              'It reads embeddings that this page cannot make; ask for it over HTTP.',
            ),
          ]),
      element('p', { class: 'fault', id: `fault-image_prompts.${i}`, hidden: '' }),
      ...(isOpen(adapter.scale)
        ? [element('label', { class: 'slider' }, element('span', {}, 'Scale ', this.scaleValue), this.scale)]
        : []),
      ...(adapter.layers.length > 0 ? [this.layersPart()] : []),
      element(
        'div',
        { class: 'slider', role: 'group', 'aria-label': 'When its images count' },
        element('span', {}, 'Counts ', this.when),
        element('div', { class: 'span' }, this.start, this.end),
      ),
    );
    this.show();
  }

  /** How strongly it counts, and when. */
  get value(): AdapterSettings {
    return this.settings;
  }

  set value(settings: AdapterSettings) {
    this.change(settings);
  }

  private layersPart(): HTMLElement {
    const isEditable = this.adapter.scale === 'layers';
    const names = this.presets.map(({ name }) =>
      element('option', { value: name }, name === 'linear' ? 'all layers alike' : name.replaceAll('-', ' ')),
    );
    this.preset.append(...names, element('option', { value: '', disabled: '' }, 'as drawn'));
    const hint = isEditable
      ? 'Draw over the bars, or use the arrow keys: ← → another layer, ↑ ↓ its scale, with Shift its block.'
      : (WHY[this.adapter.scale] ?? WHY.fixed!);
    return element(
      'details',
      { class: 'layers', ...(isEditable && { open: '' }) },
      element('summary', {}, isEditable ? 'By layer' : 'By layer: one scale for all'),
      ...(isEditable ? [element('label', { class: 'preset' }, 'Preset', this.preset)] : []),
      this.map.element,
      element('p', { class: 'hint' }, hint),
    );
  }

  private change(changed: Partial<AdapterSettings>): void {
    this.settings = { ...this.settings, ...changed };
    this.show();
    this.onChange();
  }

  private show(): void {
    const { scale, shares, start, end } = this.settings;
    this.scale.value = `${scale}`;
    this.scaleValue.textContent = shortNumber(scale);
    const isLayers = this.adapter.scale === 'layers';
    this.map.show(shares.map((share) => (isLayers ? share : 1) * scale));
    this.preset.value =
      this.presets.find((preset) => preset.shares.every((share, i) => Math.abs(share - shares[i]!) < 1e-6))
        ?.name ?? '';
    [this.start.value, this.end.value] = [`${start}`, `${end}`];
    const percent = (value: number) => `${Math.round(value * 100)} %`;
    this.when.textContent =
      start === 0 && end === 1 ? 'in all steps' : `from ${percent(start)} to ${percent(end)} of the steps`;
  }
}

/** The settings with these scales of layers. From a scale of 0 on, the others stay 0. */
function withScales(
  { scale, shares }: AdapterSettings,
  changed: ReadonlyMap<number, number>,
): Partial<AdapterSettings> {
  const base = scale === 0 ? 1 : scale;
  return {
    scale: base,
    shares: shares.map((share, i) => {
      const own = changed.get(i);
      return own === undefined ? (scale === 0 ? 0 : share) : own / base;
    }),
  };
}
