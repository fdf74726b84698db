import { byId } from './elements.js';

/** Lets the reader choose light or dark; before that the system's choice holds. */
export function offerTheme(): void {
  const button = byId<HTMLButtonElement>('theme');
  const dark = matchMedia('(prefers-color-scheme: dark)');
  let chosen: boolean | undefined;
  const say = () => {
    button.textContent = (chosen ?? dark.matches) ? 'Light' : 'Dark';
    button.setAttribute('aria-label', `Change to ${(chosen ?? dark.matches) ? 'light' : 'dark'} colours`);
  };
  button.addEventListener('click', () => {
    chosen = !(chosen ?? dark.matches);
    document.documentElement.dataset.theme = chosen ? 'dark' : 'light';
    say();
  });
  dark.addEventListener('change', say);
  button.hidden = false;
  say();
}
