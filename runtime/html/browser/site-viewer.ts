import type { SiteData } from '../report-data.js';
import { byId, code, dataOf, element } from './elements.js';

/** Shows one cross-attention at a time, the one that the address names (`#site-31`): links on the map, the list and the browser's “back” all lead there. */
export function showSites(): void {
  const sites = dataOf<readonly SiteData[]>('sites-data');
  if (sites === undefined) return;
  const choice = byId<HTMLSelectElement>('site-choice');
  choice.append(...sites.map(({ id, scope }) => element('option', { value: `${id}` }, `${id}  ${scope}`)));
  const [previous, next] = [byId<HTMLButtonElement>('site-previous'), byId<HTMLButtonElement>('site-next')];
  let current = 0;

  function show(number: number): void {
    current = number;
    const site = sites![number]!;
    choice.value = `${site.id}`;
    byId('site-name').replaceChildren(code(site.scope), ` id ${site.id}, ${site.words}`);
    const drawing = byId<HTMLTemplateElement>(`drawing-${site.drawing}`).content.cloneNode(
      true,
    ) as DocumentFragment;
    byId('site-drawing').replaceChildren(drawing);
    const lists = (['before', 'after'] as const).map((side) => nameBoxes(side, site[side]));
    byId('site-list').replaceChildren(...lists);
    previous.disabled = number === 0;
    next.disabled = number === sites!.length - 1;
    for (const mark of document.querySelectorAll('[data-site]')) {
      if (mark.getAttribute('data-site') === `${site.id}`) mark.setAttribute('aria-current', 'true');
      else mark.removeAttribute('aria-current');
    }
  }

  const go = (number: number) => {
    location.hash = `site-${sites[number]!.id}`;
  };
  const follow = () => {
    const number = sites.findIndex(({ id }) => location.hash === `#site-${id}`);
    if (number < 0) return;
    show(number);
    byId('site-title').scrollIntoView();
    byId('site-name').focus({ preventScroll: true });
  };
  choice.addEventListener('change', () => {
    const number = choice.selectedIndex;
    // Who walks through the list by keys stays in it.
    history.replaceState(null, '', `#site-${sites[number]!.id}`);
    show(number);
  });
  previous.addEventListener('click', () => go(current - 1));
  next.addEventListener('click', () => go(current + 1));
  addEventListener('hashchange', follow);
  // The same site again: the address does not change, and the reader wants to go there all the same.
  document.querySelector('svg.unet')?.addEventListener('click', (event) => {
    const link = (event.target as Element).closest('[data-site]');
    if (link?.getAttribute('href') === location.hash) follow();
  });
  const tell = (event: Event) => {
    const box = (event.target as Element).closest('[data-n]');
    const side = box?.closest('.before') ? 'before' : 'after';
    const name = box && sites[current]![side][Number(box.getAttribute('data-n'))];
    if (name) byId('site-node').replaceChildren(code(name));
  };
  byId('site-drawing').addEventListener('pointerover', tell);
  byId('site-drawing').addEventListener('click', tell);

  show(
    Math.max(
      0,
      sites.findIndex(({ words }) => words === 'patched'),
    ),
  );
  byId('site-viewer').hidden = false;
  follow();
}

/** The boxes of one side as a list; the drawing says only what fits. */
function nameBoxes(side: 'before' | 'after', names: readonly string[]): HTMLElement {
  const boxes = document.querySelectorAll(`#site-drawing .${side} [data-n]`);
  const items = [...boxes].map((box) => {
    const mark = [...box.classList].find((name) => name !== 'n')!;
    const words = [...box.querySelectorAll('text:not(.sign)')].map((text) => text.textContent).join(' ');
    const said = mark === 'kept' ? words : `${words} (${mark})`;
    return element('li', {}, `${said} `, code(names[Number(box.getAttribute('data-n'))]!));
  });
  return element('div', {}, element('h4', {}, side), element('ul', {}, ...items));
}
