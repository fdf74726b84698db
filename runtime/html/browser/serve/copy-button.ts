import { element } from '../elements.js';

/** How long a button says that it has copied. Milliseconds. */
const SAID = 2000;

/** A button that copies what `source` shows, and says so. */
export function copyButton(source: HTMLElement, what: string): HTMLElement {
  const button = element('button', { type: 'button', class: 'quiet', 'aria-label': `Copy ${what}` }, 'Copy');
  const status = element('span', { role: 'status', class: 'copied' });
  let timer = 0;
  button.addEventListener('click', async () => {
    const isCopied = await copy(source);
    status.textContent = isCopied ? 'Copied' : 'Selected: copy it with the keyboard';
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      status.textContent = '';
    }, SAID);
  });
  return element('div', { class: 'copy' }, status, button);
}

/** Through the clipboard, which browsers give to safe addresses alone; elsewhere by selecting the text. */
async function copy(source: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection()?.selectAllChildren(source);
    return document.execCommand('copy');
  }
}
