import { element } from '../elements.js';
import { framed } from './framed.js';
import { altOf, type Shot } from './shot.js';

/** Two pictures of one size over each other, under a divider that a pointer or the arrow keys move. */
export function comparison(before: Shot, after: Shot, words: { before: string; after: string }): HTMLElement {
  const slider = element('input', {
    type: 'range',
    min: '0',
    max: '100',
    step: '1',
    value: '50',
    'aria-label': `How much of ${words.before} is to be seen beside ${words.after}`,
  });
  const picture = ({ image }: Shot, alt: string, kind: string) =>
    element('img', { src: image.url, alt, class: kind });
  const frame = element(
    'div',
    { class: 'comparison' },
    picture(before, `${altOf(before)}, ${words.before}`, 'shown'),
    picture(after, `${altOf(after)}, ${words.after}`, 'shown over'),
    element('span', { class: 'divider', 'aria-hidden': 'true' }),
    element('span', { class: 'side left', 'aria-hidden': 'true' }, words.before),
    element('span', { class: 'side right', 'aria-hidden': 'true' }, words.after),
    slider,
  );
  const move = () => {
    frame.style.setProperty('--at', `${slider.value}%`);
    slider.setAttribute('aria-valuetext', `${slider.value} %`);
  };
  slider.addEventListener('input', move);
  move();
  return framed(frame, after.image);
}
