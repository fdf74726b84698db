// The script of the page of `ipgraft serve`. Names from models become text, never markup.
import { byId, element } from './elements.js';
import { askServer, type Served, TokenNeeded } from './serve/ask.js';
import { curlRequest } from './serve/curl-request.js';
import { type ModelCard, modelCard } from './serve/model-card.js';
import { pythonRequest } from './serve/python-request.js';
import { typescriptRequest } from './serve/typescript-request.js';
import { offerTheme } from './theme.js';

const LANGUAGES = { curl: curlRequest, Python: pythonRequest, TypeScript: typescriptRequest } as const;
let language: keyof typeof LANGUAGES = 'curl';

/** In memory alone: it goes with the page. */
let token: string | undefined;
let cards: ModelCard[] = [];

async function refresh(): Promise<void> {
  const trouble = byId('trouble');
  const form = byId('token-form');
  let served: Served;
  try {
    served = await askServer(token);
  } catch (error) {
    const isToken = error instanceof TokenNeeded;
    byId('served').hidden = true;
    form.hidden = !isToken;
    trouble.hidden = isToken && token === undefined;
    trouble.textContent = isToken
      ? 'This is not the token of the server.'
      : `The models cannot be shown. ${(error as Error).message}`;
    if (isToken) byId('token').focus();
    return;
  }
  form.hidden = true;
  trouble.hidden = true;
  byId('served').hidden = false;
  // A link brings no token.
  byId('more').hidden = token !== undefined;
  show(served);
}

function show({ models, counts }: Served): void {
  const base = new URL('.', location.href).href;
  cards = models.map((model) =>
    modelCard(model, counts.get(model.name), {
      base,
      hasToken: token !== undefined,
      sizes: cards.find((card) => card.name === model.name)?.sizes,
      write: (request) => LANGUAGES[language](request),
    }),
  );
  byId('models').replaceChildren(...cards.map((card) => card.element));
  const ready = models.filter(({ state }) => state === 'READY').length;
  byId('summary').textContent = `${ready} of ${models.length} ready, at ${new Date().toLocaleTimeString()}`;
}

function offerLanguages(): void {
  for (const name of Object.keys(LANGUAGES) as (keyof typeof LANGUAGES)[]) {
    const radio = element('input', { type: 'radio', name: 'language', value: name });
    radio.checked = name === language;
    radio.addEventListener('change', () => {
      language = name;
      for (const card of cards) card.update();
    });
    byId('languages').append(element('label', {}, radio, element('span', {}, name)));
  }
}

offerTheme();
offerLanguages();
byId('refresh').addEventListener('click', refresh);
byId<HTMLFormElement>('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  token = byId<HTMLInputElement>('token').value.trim();
  void refresh();
});
void refresh();
