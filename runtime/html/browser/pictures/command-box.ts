import { offerChoice } from '../choice.js';
import { element } from '../elements.js';
import { copyButton } from '../serve/copy-button.js';
import { type CommandFor, cliCommand } from './cli-command.js';
import { curlCommand } from './curl-command.js';
import { typescriptCommand } from './typescript-command.js';

const LANGUAGES = { curl: curlCommand, CLI: cliCommand, TypeScript: typescriptCommand } as const;
type Language = keyof typeof LANGUAGES;

/** As the reader left it. */
let language: Language = 'curl';
let isOpen = false;

/** What makes a picture again elsewhere, to be copied. */
export function commandBox(command: CommandFor): HTMLElement {
  const text = element('code');
  const write = () => {
    text.textContent = LANGUAGES[language](command);
  };
  const choice = element('fieldset', { id: 'command-language', class: 'choice', 'aria-label': 'Language' });
  offerChoice(choice, Object.keys(LANGUAGES) as Language[], language, (name) => {
    language = name;
    write();
  });
  write();
  const box = element(
    'details',
    { class: 'command', ...(isOpen && { open: '' }) },
    element('summary', {}, 'As a command'),
    choice,
    element(
      'div',
      { class: 'request' },
      copyButton(text, 'the command'),
      element('pre', { tabindex: '0', role: 'group', 'aria-label': 'The command' }, text),
    ),
    element(
      'p',
      { class: 'hint' },
      'Run it where the images lie that it names; the CLI where the pipeline’s folder does.',
    ),
  );
  box.addEventListener('toggle', () => {
    isOpen = box.open;
  });
  return box;
}
