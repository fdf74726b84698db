import type { DescribedModel, DescribedTensor } from '../../../serve/http/openapi/models.js';
import { shown } from '../../markup.js';
import { code, element } from '../elements.js';
import type { Counts } from './ask.js';
import { copyButton } from './copy-button.js';
import type { RequestTo } from './request.js';
import { Sizes } from './sizes.js';

/** What a card takes from the page around it. */
export interface Surroundings {
  readonly base: string;
  readonly hasToken: boolean;
  /** Of the same model, as the reader has left them. */
  readonly sizes: Sizes | undefined;
  /** The request in the language that is chosen now. */
  write(request: RequestTo): string;
}

/** A model on the page. */
export interface ModelCard {
  readonly name: string;
  readonly sizes?: Sizes;
  readonly element: HTMLElement;
  /** Writes the request again, in the language that is chosen now. */
  update(): void;
}

/** A card with the state of a model, what it takes and gives, and a request to copy. */
export function modelCard(
  model: DescribedModel,
  counts: Counts | undefined,
  around: Surroundings,
): ModelCard {
  const { name, version, state, reason, inputs, outputs } = model;
  const title = element('h2', { id: `model-${name}` }, code(shown(name)));
  const isReady = state === 'READY';
  const card = element(
    'section',
    { class: 'model', 'aria-labelledby': title.id },
    element(
      'div',
      { class: 'model-head' },
      title,
      element('span', { class: `state ${isReady ? 'good' : 'open'}` }, state.toLowerCase()),
      ...(version === undefined ? [] : [element('span', { class: 'version' }, `version ${version}`)]),
    ),
  );
  if (reason !== '') card.append(element('p', {}, reason));
  if (counts !== undefined) card.append(countsLine(counts));
  if (inputs === undefined || outputs === undefined) return { name, element: card, update() {} };
  card.append(tensorTable(name, inputs, outputs));
  const required = inputs.filter(({ optional }) => !optional);
  const sizes = new Sizes(required, around.sizes);
  const text = element('code');
  const update = () => {
    text.textContent = around.write({
      base: around.base,
      model: name,
      hasToken: around.hasToken,
      inputs: sizes.apply(required),
      outputs,
    });
  };
  const fields = sizes.fields(update);
  if (fields.length > 0)
    card.append(
      element('fieldset', { class: 'sizes' }, element('legend', {}, 'Sizes in the request'), ...fields),
    );
  card.append(
    element(
      'div',
      { class: 'request' },
      copyButton(text, `the request to ${name}`),
      element('pre', { tabindex: '0', role: 'group', 'aria-label': `A request to ${name}` }, text),
    ),
  );
  update();
  return { name, sizes, element: card, update };
}

function countsLine({ succeeded, failed, mean, waiting }: Counts): HTMLElement {
  const facts = [
    `${succeeded.toLocaleString('en-US')} answered`,
    `${failed.toLocaleString('en-US')} failed`,
    `${waiting.toLocaleString('en-US')} waiting`,
    ...(mean === null
      ? []
      : [`${mean < 10 ? mean.toFixed(1) : Math.round(mean).toLocaleString('en-US')} ms each`]),
  ];
  return element('p', { class: 'counts-line' }, facts.join(' · '));
}

function tensorTable(
  model: string,
  inputs: readonly DescribedTensor[],
  outputs: readonly DescribedTensor[],
): HTMLElement {
  const head = element(
    'thead',
    {},
    element(
      'tr',
      {},
      ...['Tensor', 'Datatype', 'Shape'].map((name) => element('th', { scope: 'col' }, name)),
    ),
  );
  const rows = (what: string, tensors: readonly DescribedTensor[]) =>
    element(
      'tbody',
      {},
      element('tr', { class: 'group' }, element('th', { scope: 'rowgroup', colspan: '3' }, what)),
      ...tensors.map(({ name, datatype, shape, optional, anyShape }) =>
        element(
          'tr',
          {},
          element('th', { scope: 'row' }, code(shown(name)), ...(optional ? [' (optional)'] : [])),
          element('td', {}, datatype),
          element('td', {}, element('code', {}, anyShape ? 'any' : shapeText(shape))),
        ),
      ),
    );
  return element(
    'div',
    { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': `Tensors of ${model}` },
    element('table', {}, head, rows('Inputs', inputs), rows('Outputs', outputs)),
  );
}

function shapeText(shape: DescribedTensor['shape']): string {
  return `[${shape.map((size) => (typeof size === 'string' ? shown(size) : (size ?? '?'))).join(', ')}]`;
}
