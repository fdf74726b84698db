import { visible } from '../../compiler/printable.js';

/** HTML text that needs no more escaping. Only {@link html} makes it of strings from elsewhere. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What may stand in {@link html}: strings are escaped; nothing is written for `null`, `undefined` and `false`. */
export type Content = Markup | string | number | null | undefined | false | readonly Content[];

/** Longer names are cut: a hostile file may hold names of megabytes, and each is written many times. */
const LONGEST_TEXT = 400;

/**
 * Text from a file, fit for a page: control characters, changes of writing direction and halves of surrogate pairs become their codes;
 * of more than 400 characters the first ones and how many there were.
 */
export function shown(text: string): string {
  if (text.length <= LONGEST_TEXT) return visible(text);
  return `${visible(text.slice(0, LONGEST_TEXT))}… (${text.length} characters)`;
}

/** The template as HTML, with every string {@link shown} and escaped, in text and in quoted attributes alike. */
export function html(parts: TemplateStringsArray, ...contents: readonly Content[]): Markup {
  return new Markup(parts.map((part, i) => (i === 0 ? part : written(contents[i - 1]) + part)).join(''));
}

function written(content: Content): string {
  if (content === null || content === undefined || content === false) return '';
  if (content instanceof Markup) return content.text;
  if (typeof content === 'number') return `${content}`;
  if (typeof content === 'string') return escaped(shown(content));
  return content.map(written).join('');
}

/** A name in the letters of code, which a narrow page may break at its dots, slashes and underscores. */
export function code(name: string): Markup {
  const pieces = shown(name).match(PIECES) ?? [];
  return html`<code>${pieces.map((piece, i) => html`${i > 0 && new Markup('<wbr>')}${piece}`)}</code>`;
}

const PIECES = /[./]*[^./_]+_*|[./_]+/g;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

/** Data for the page's script as a `<script>` that is not run: every string {@link shown}, and no `<` that could end the element. */
export function dataIsland(id: string, data: unknown): Markup {
  const json = JSON.stringify(data, (_, value) => (typeof value === 'string' ? shown(value) : value));
  return html`<script type="application/json" id="${id}">${new Markup(json.replaceAll('<', '\\u003c'))}</script>`;
}
