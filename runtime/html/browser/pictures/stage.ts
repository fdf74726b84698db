import { byId, element } from '../elements.js';
import { commandBox } from './command-box.js';
import { comparison } from './comparison.js';
import { duration } from './duration.js';
import { framed } from './framed.js';
import { shortNumber } from './scale-map.js';
import { altOf, canCompare, type Shot } from './shot.js';
import type { Wish } from './wish.js';

/** What may be done with a picture. */
export interface ShotActions {
  compare(shot: Shot): void;
  useSettings(shot: Shot): void;
  usePrompt(shot: Shot): void;
  useStart(shot: Shot): void;
}

/** The place where pictures are looked at, with what is known of them. */
export class Stage {
  private readonly frame = byId('frame');
  private readonly about = byId('about');
  private readonly nothing = byId('nothing');
  private readonly actions: ShotActions;
  private readonly hasToken: () => boolean;

  constructor(actions: ShotActions, hasToken: () => boolean) {
    this.actions = actions;
    this.hasToken = hasToken;
  }

  /** Shows that there is no picture. */
  clear(): void {
    this.show([this.nothing]);
    this.about.hidden = true;
  }

  /** Shows what may become the pictures of a wish. */
  showPreviews(addresses: readonly string[], wish: Wish): void {
    if (addresses.length === 0) return;
    this.about.hidden = true;
    const images = addresses.map((src, i) => {
      const alt = addresses.length === 1 ? 'Preview' : `Preview ${i + 1}`;
      return framed(element('img', { src, alt }), wish);
    });
    this.show(images.length === 1 ? images : [element('div', { class: 'several' }, ...images)]);
  }

  /** Shows a picture, with what is known of it and what may be done with it. */
  showShot(shot: Shot): void {
    const { image } = shot;
    this.show([framed(element('img', { src: image.url, alt: altOf(shot), class: 'shown' }), image)]);
    this.tell(shot);
  }

  /** Shows a picture under the one that is the same but for its scales, which are 0. */
  showComparison(before: Shot, after: Shot): void {
    this.show([comparison(before, after, { before: 'scale 0', after: scaleWords(after) })]);
    this.tell(after);
  }

  private show(content: readonly HTMLElement[]): void {
    this.frame.replaceChildren(...content);
  }

  private tell(shot: Shot): void {
    const { wish, made, image, pipeline } = shot;
    const button = (text: string, act: (shot: Shot) => void) => {
      const drawn = element('button', { type: 'button' }, text);
      drawn.addEventListener('click', () => act(shot));
      return drawn;
    };
    const takesImages = pipeline.adapters.some(({ encoder }) => encoder);
    const save = element('a', { class: 'button', href: image.url, download: image.name }, 'Download');
    const facts = [
      `seed ${made.seed}`,
      made.size.replace('x', ' × '),
      `${made.steps} ${made.steps === 1 ? 'step' : 'steps'} of ${made.scheduler}`,
      `guidance ${shortNumber(wish.guidance)}`,
      ...(wish.images.some((each) => each.length > 0) ? [scaleWords(shot)] : []),
      duration(made.seconds),
    ];
    this.about.replaceChildren(
      ...made.warnings.map((warning) => element('p', { class: 'note open' }, warning)),
      ...(wish.prompt === '' ? [] : [element('p', { class: 'prompt' }, wish.prompt)]),
      element('p', { class: 'facts' }, facts.join(' · ')),
      element(
        'div',
        { class: 'bar' },
        ...(canCompare(shot) ? [button('Compare with scale 0', this.actions.compare)] : []),
        save,
        button('Use settings', this.actions.useSettings),
        ...(takesImages ? [button('As image prompt', this.actions.usePrompt)] : []),
        ...(pipeline.init_images ? [button('As start', this.actions.useStart)] : []),
      ),
      commandBox({
        wish,
        pipeline,
        base: new URL('.', location.href).href,
        hasToken: this.hasToken(),
        output: image.name,
      }),
    );
    this.about.hidden = false;
  }
}

/** `scale 0.6`, of several adapters `scales 0.6, 1`. */
function scaleWords({ wish, pipeline }: Shot): string {
  const scales = pipeline.adapters.flatMap(({ scale: kind, default: own }, i) => {
    if (wish.images[i]!.length === 0) return [];
    const { scale, shares } = wish.adapters[i]!;
    const isDrawn = kind === 'layers' && shares.some((share) => share !== 1);
    return [`${shortNumber(kind === 'fixed' ? own : scale)}${isDrawn ? ' by layer' : ''}`];
  });
  return `${scales.length === 1 ? 'scale' : 'scales'} ${scales.join(', ')}`;
}
