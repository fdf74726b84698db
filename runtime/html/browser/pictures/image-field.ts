import { element } from '../elements.js';
import { IMAGE_TYPES, imagesIn, type PickedImage, pickImage } from './picked-image.js';

/** A place for images: dropped, pasted, or chosen as files. */
export class ImageField {
  readonly element: HTMLElement;
  private readonly list = element('ul', { class: 'picked' });
  private readonly fault = element('p', { class: 'fault', role: 'alert', hidden: '' });
  private readonly file: HTMLInputElement;
  private readonly zone: HTMLElement;
  private readonly words = element('span', { class: 'zone-words', 'aria-hidden': 'true' });
  private readonly what: string;
  private images: readonly PickedImage[] = [];
  private readonly most: number;
  private readonly onChange: () => void;

  /**
   * @param what the images are, as words
   * @param most how many there may be: one more takes the place of the last
   */
  constructor(what: string, most: number, onChange: () => void) {
    this.what = what;
    this.most = most;
    this.onChange = onChange;
    this.file = element('input', {
      type: 'file',
      accept: IMAGE_TYPES,
      'aria-label': what,
      class: 'file',
      ...(most > 1 && { multiple: '' }),
    });
    this.zone = element('div', { class: 'zone' }, this.file, this.words);
    this.element = element('div', { class: 'image-field' }, this.list, this.zone, this.fault);
    this.show();
    this.file.addEventListener('change', () => {
      void this.add([...(this.file.files ?? [])]);
      // The same file again is a change too.
      this.file.value = '';
    });
    for (const kind of ['dragenter', 'dragover'] as const)
      this.element.addEventListener(kind, (event) => {
        event.preventDefault();
        this.zone.classList.add('over');
      });
    this.element.addEventListener('dragleave', () => this.zone.classList.remove('over'));
    this.element.addEventListener('drop', (event) => {
      event.preventDefault();
      event.stopPropagation();
      this.zone.classList.remove('over');
      void this.add([...(event.dataTransfer?.files ?? [])]);
    });
    this.element.addEventListener('paste', (event) => {
      const pasted = imagesIn(event.clipboardData);
      if (pasted.length === 0) return;
      event.preventDefault();
      event.stopPropagation();
      void this.add(pasted);
    });
  }

  /** What is there now. */
  get value(): readonly PickedImage[] {
    return this.images;
  }

  set value(images: readonly PickedImage[]) {
    this.images = images.slice(0, this.most);
    this.show();
    this.onChange();
  }

  /** Whether one more has room beside those that are there. */
  get hasRoom(): boolean {
    return this.images.length < this.most;
  }

  /** Takes files; those that are no images are told, in place. */
  async add(files: readonly File[]): Promise<void> {
    this.fault.hidden = true;
    for (const file of files)
      try {
        this.put(await pickImage(file, file.name));
      } catch (error) {
        this.fault.textContent = (error as Error).message;
        this.fault.hidden = false;
      }
  }

  /** Takes an image, in the place of the last one where there is no room. */
  put(image: PickedImage): void {
    this.value = [...this.images.slice(0, this.most - 1), image];
  }

  private show(): void {
    const items = this.images.map((image, i) => {
      const remove = element(
        'button',
        { type: 'button', class: 'icon', 'aria-label': `Remove ${image.name}`, title: 'Remove' },
        '×',
      );
      remove.addEventListener('click', () => {
        this.value = this.images.filter((_, other) => other !== i);
        this.file.focus();
      });
      const picture = element('img', { src: image.url, alt: image.name, title: image.name });
      return element('li', {}, picture, remove);
    });
    this.list.replaceChildren(...items);
    this.words.textContent = this.hasRoom ? `+ ${this.what}` : 'Another';
  }
}
