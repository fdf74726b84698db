// The script of the page of models. Names from models become text, never markup.
import { offerChoice } from './choice.js';
import { byId } from './elements.js';
import { askServer, type Served } from './serve/ask.js';
import { curlRequest } from './serve/curl-request.js';
import { type ModelCard, modelCard } from './serve/model-card.js';
import { pythonRequest } from './serve/python-request.js';
import { TokenForm } from './serve/token-form.js';
import { typescriptRequest } from './serve/typescript-request.js';
import { offerTheme } from './theme.js';

const LANGUAGES = { curl: curlRequest, Python: pythonRequest, TypeScript: typescriptRequest } as const;
type Language = keyof typeof LANGUAGES;
let language: Language = 'curl';

const form = new TokenForm(() => void refresh());
let cards: ModelCard[] = [];

async function refresh(): Promise<void> {
  const served = await form.show(() => askServer(form.token), byId('served'), 'The models');
  if (served !== undefined) show(served);
}

function show({ models, counts }: Served): void {
  const base = new URL('.', location.href).href;
  cards = models.map((model) =>
    modelCard(model, counts.get(model.name), {
      base,
      hasToken: form.token !== undefined,
      sizes: cards.find((card) => card.name === model.name)?.sizes,
      write: (request) => LANGUAGES[language](request),
    }),
  );
  byId('models').replaceChildren(...cards.map((card) => card.element));
  const ready = models.filter(({ state }) => state === 'READY').length;
  byId('summary').textContent = `${ready} of ${models.length} ready, at ${new Date().toLocaleTimeString()}`;
}

offerTheme();
offerChoice(byId('languages'), Object.keys(LANGUAGES) as Language[], language, (name) => {
  language = name;
  for (const card of cards) card.update();
});
byId('refresh').addEventListener('click', refresh);
void refresh();
