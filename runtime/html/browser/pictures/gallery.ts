import { byId, element } from '../elements.js';
import { altOf, type Shot } from './shot.js';

/** The pictures of this visit, newest first: each a button that shows it. */
export class Gallery {
  private readonly list = byId('shots');
  private readonly buttons = new Map<Shot, HTMLElement>();
  private readonly onChoose: (shot: Shot) => void;

  constructor(onChoose: (shot: Shot) => void) {
    this.onChoose = onChoose;
  }

  /** Oldest first. */
  get shots(): readonly Shot[] {
    return [...this.buttons.keys()];
  }

  add(shot: Shot): void {
    const picture = element('img', { src: shot.image.url, alt: altOf(shot) });
    const button = element('button', { type: 'button', class: 'shot' }, picture);
    button.addEventListener('click', () => this.onChoose(shot));
    this.buttons.set(shot, button);
    this.list.prepend(element('li', {}, button));
    byId('gallery').hidden = false;
  }

  /** Marks what is shown. */
  mark(shown: readonly Shot[]): void {
    for (const [shot, button] of this.buttons)
      if (shown.includes(shot)) button.setAttribute('aria-current', 'true');
      else button.removeAttribute('aria-current');
  }
}
