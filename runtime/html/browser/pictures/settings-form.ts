import { shown } from '../../markup.js';
import { byId, element } from '../elements.js';
import { AdapterField } from './adapter-field.js';
import { clearFaultOf, clearFaults, showFault } from './faults.js';
import { ImageField } from './image-field.js';
import { imagesIn, type PickedImage } from './picked-image.js';
import type { ServedPipeline } from './served.js';
import { restored, storedSettings, storeSettings } from './stored-settings.js';
import { firstSettings, newSeed, type Settings, type Wish } from './wish.js';

const number = (id: string) => byId<HTMLInputElement>(id);
const NUMBERS = ['width', 'height', 'steps', 'seed', 'guidance', 'pictures', 'strength'] as const;

/** All that is asked for, as the reader fills it in. */
export class SettingsForm {
  private readonly pipelines: ReadonlyMap<string, ServedPipeline>;
  private readonly model = byId<HTMLSelectElement>('model');
  private readonly prompt = byId<HTMLTextAreaElement>('prompt');
  private readonly negative = byId<HTMLTextAreaElement>('negative');
  private readonly scheduler = byId<HTMLSelectElement>('scheduler');
  private readonly keep = byId<HTMLInputElement>('keep');
  private readonly initImage: ImageField;
  private readonly mask: ImageField;
  private adapters: readonly AdapterField[] = [];
  /** Whether the seed is the reader's own choice for the next run. */
  private isSeedChosen = false;

  constructor(pipelines: ReadonlyMap<string, ServedPipeline>) {
    this.pipelines = pipelines;
    this.initImage = new ImageField('Picture to start from', 1, () => this.startFrom());
    this.mask = new ImageField('Mask: white is painted anew', 1, () => {});
    byId('init-image').replaceChildren(this.initImage.element);
    byId('mask').replaceChildren(this.mask.element);
    this.model.replaceChildren(
      ...[...pipelines.keys()].map((name) => element('option', { value: name }, shown(name))),
    );
    byId('model-row').hidden = pipelines.size === 1;
    this.listen();
    const stored = storedSettings();
    const model = pipelines.has(stored.model as string)
      ? (stored.model as string)
      : [...pipelines.keys()][0]!;
    this.keep.checked = stored.keepsSeed === true;
    this.take(restored(firstSettings(model, pipelines.get(model)!), { ...stored, model }));
  }

  /** The pipeline that is chosen. */
  get pipeline(): ServedPipeline {
    return this.pipelines.get(this.model.value)!;
  }

  /** What is asked for now. Check it first. */
  get wish(): Wish {
    const numbers = Object.fromEntries(NUMBERS.map((id) => [id, number(id).valueAsNumber]));
    const [initImage] = this.initImage.value;
    return {
      ...(numbers as Record<(typeof NUMBERS)[number], number>),
      model: this.model.value,
      prompt: typed(this.prompt),
      negative: typed(this.negative),
      scheduler: this.scheduler.value,
      adapters: this.adapters.map(({ value }) => value),
      images: this.adapters.map(({ images }) => images.value),
      initImage,
      mask: initImage && this.mask.value[0],
    };
  }

  /** Fills in all that was asked for once, and keeps its seed. */
  set wish(wish: Wish) {
    this.take(wish);
    this.adapters.forEach(({ images }, i) => {
      images.value = wish.images[i]!;
    });
    this.initImage.value = wish.initImage === undefined ? [] : [wish.initImage];
    this.mask.value = wish.mask === undefined ? [] : [wish.mask];
    // The picture to start from has changed it.
    [number('width').value, number('height').value] = [`${wish.width}`, `${wish.height}`];
    this.keep.checked = true;
    this.store();
  }

  /** Draws another seed where the last one is not to be kept. */
  drawSeed(): void {
    if (!this.keep.checked && !this.isSeedChosen) number('seed').value = `${newSeed()}`;
    this.isSeedChosen = false;
    this.store();
  }

  /** Says beside each field what is wrong with it, and whether nothing is. */
  check(): boolean {
    clearFaults();
    const { limits } = this.pipeline;
    const faults: [place: string, message: string][] = [];
    for (const [field, place] of [
      [this.prompt, 'prompt'],
      [this.negative, 'negative'],
    ] as const)
      if (field.value.length > limits.prompt)
        faults.push([place, `At most ${limits.prompt} characters; these are ${field.value.length}.`]);
    for (const id of NUMBERS) {
      const message = faultOf(number(id));
      if (message === undefined) continue;
      const isSide = id === 'width' || id === 'height';
      faults.push(isSide ? ['size', `${id === 'width' ? 'Width' : 'Height'}: ${message}`] : [id, message]);
    }
    const pixels = number('width').valueAsNumber * number('height').valueAsNumber;
    if (pixels > limits.pixels)
      faults.push(['size', `At most ${grouped(limits.pixels)} pixels in all; these are ${grouped(pixels)}.`]);
    // The first one last: it gets the focus.
    for (const [place, message] of faults.reverse()) showFault(place, message);
    return faults.length === 0;
  }

  /** Makes a picture the image prompt of the first adapter that has room for it, else of the first one. */
  promptWith(image: PickedImage): void {
    const field = this.nextField();
    field?.images.put(image);
    field?.element.scrollIntoView({ block: 'nearest' });
  }

  /** Makes a picture the one to start from. */
  startWith(image: PickedImage): void {
    byId<HTMLDetailsElement>('more').open = true;
    this.initImage.put(image);
    byId('more').scrollIntoView({ block: 'nearest' });
  }

  private listen(): void {
    byId('wish').addEventListener('input', ({ target }) => {
      clearFaultOf(target as Element);
      this.store();
    });
    byId('wish').addEventListener('change', () => this.store());
    this.model.addEventListener('change', () => {
      clearFaults();
      const { model, prompt, negative, seed, images } = this.wish;
      this.take({ ...firstSettings(model, this.pipeline), prompt, negative, seed });
      this.adapters.forEach((field, i) => {
        field.images.value = images[i] ?? [];
      });
    });
    byId('turn').addEventListener('click', () => {
      const [width, height] = [number('width'), number('height')];
      [width.value, height.value] = [height.value, width.value];
      this.store();
    });
    number('seed').addEventListener('input', () => {
      this.isSeedChosen = true;
    });
    byId('die').addEventListener('click', () => {
      number('seed').value = `${newSeed()}`;
      this.isSeedChosen = true;
      this.store();
    });
    number('strength').addEventListener('input', () => this.sayStrength());
    // An image that is pasted elsewhere, or dropped beside its place, is an image prompt. Text goes where it is pasted, whatever comes with it.
    document.addEventListener('paste', (event) => {
      if (event.clipboardData?.types.includes('text/plain')) return;
      const images = imagesIn(event.clipboardData);
      if (images.length === 0) return;
      event.preventDefault();
      void this.takePrompt(images);
    });
    document.addEventListener('dragover', (event) => {
      if (event.dataTransfer?.types.includes('Files')) event.preventDefault();
    });
    document.addEventListener('drop', (event) => {
      const files = [...(event.dataTransfer?.files ?? [])];
      if (files.length === 0) return;
      event.preventDefault();
      void this.takePrompt(files);
    });
  }

  private async takePrompt(files: readonly File[]): Promise<void> {
    await this.nextField()?.images.add(files);
  }

  private nextField(): AdapterField | undefined {
    const able = this.adapters.filter((_, i) => this.pipeline.adapters[i]!.encoder);
    return able.find(({ images }) => images.hasRoom) ?? able[0];
  }

  /** Fills in settings for the pipeline that they name. */
  private take(settings: Settings): void {
    this.model.value = settings.model;
    const { multiple, limits, schedulers, init_images: hasEncoder, adapters } = this.pipeline;
    for (const id of ['width', 'height'] as const) {
      number(id).min = number(id).step = `${multiple}`;
      number(id).max = `${limits.pixels / multiple}`;
    }
    number('steps').max = `${limits.steps}`;
    number('pictures').max = `${limits.pictures}`;
    this.scheduler.replaceChildren(...schedulers.map((name) => element('option', { value: name }, name)));
    byId('start-from').hidden = !hasEncoder;
    for (const id of NUMBERS) number(id).value = `${settings[id]}`;
    this.prompt.value = settings.prompt;
    this.negative.value = settings.negative;
    this.scheduler.value = settings.scheduler;
    this.sayStrength();
    this.adapters = adapters.map(
      (adapter, i) => new AdapterField(adapter, i, settings.adapters[i]!, () => this.store()),
    );
    byId('adapters').replaceChildren(...this.adapters.map((field) => field.element));
    this.store();
  }

  private startFrom(): void {
    const [image] = this.initImage.value;
    byId('strength-row').hidden = image === undefined;
    byId('strength-hint').hidden = image === undefined;
    this.mask.element.hidden = image === undefined;
    if (image === undefined) return;
    const { multiple, limits } = this.pipeline;
    const shrink = Math.min(1, Math.sqrt(limits.pixels / (image.width * image.height)));
    for (const id of ['width', 'height'] as const)
      number(id).value = `${Math.max(1, Math.floor((image[id] * shrink) / multiple)) * multiple}`;
    this.store();
  }

  private sayStrength(): void {
    byId('strength-value').textContent = number('strength').value;
  }

  private store(): void {
    storeSettings(this.wish, this.keep.checked);
  }
}

/** Control characters can be pasted, and mean nothing. */
function typed({ value }: HTMLTextAreaElement): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken away
  return value.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, '');
}

function faultOf({ validity, min, max, step }: HTMLInputElement): string | undefined {
  if (validity.badInput || validity.valueMissing) return 'A number is needed.';
  if (validity.rangeUnderflow) return `At least ${grouped(Number(min))}.`;
  if (validity.rangeOverflow) return `At most ${grouped(Number(max))}.`;
  if (validity.stepMismatch)
    return step === '1' ? 'A whole number is needed.' : `A multiple of ${step} is needed.`;
  return undefined;
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
