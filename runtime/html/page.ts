import { createHash } from 'node:crypto';
import { VERSION } from '../version.js';
import { SCRIPT, STYLE } from './assets.js';
import { html, Markup } from './markup.js';

/** One part of a page, which the navigation at its top leads to. */
export interface Section {
  /** An HTML id. */
  readonly id: string;
  readonly title: string;
  readonly content: Markup;
}

/** What a page says. */
export interface Page {
  readonly title: string;
  /** Small above the title: what kind of report it is. */
  readonly kind: string;
  /** What stands before all sections. */
  readonly lead: Markup;
  readonly sections: readonly Section[];
  /** Templates and data for the script. */
  readonly stores?: readonly Markup[];
}

/**
 * A whole HTML document that asks nothing of a network: its style and script are inside, and its policy lets no others run. The same page
 * is the same text.
 */
export function pageOf({ title, kind, lead, sections, stores = [] }: Page): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header class="top">
<div class="wide">
<p class="kind">${kind}</p>
<nav aria-label="Parts of the report"><ul>${sections.map((section) => html`<li><a href="#${section.id}">${section.title}</a></li>`)}</ul></nav>
<button type="button" id="theme" class="quiet" hidden>Dark</button>
</div>
</header>
<main id="main" class="wide" tabindex="-1">
<h1>${title}</h1>
${lead}
${sections.map(
  ({
    id,
    title: name,
    content,
  }) => html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title" tabindex="-1">${name}</h2>
${content}</section>
`,
)}</main>
<footer class="wide"><p>Written by ipgraft ${VERSION}. This file is complete: it loads nothing.</p></footer>
${stores}
<script>${new Markup(SCRIPT)}</script>
</body>
</html>
`.text;
}

/** Nothing but this style and this script, by their digests; text from a file can become neither. */
function policy(): string {
  return [
    "default-src 'none'",
    `style-src ${digest(STYLE)}`,
    `script-src ${digest(SCRIPT)}`,
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
  ].join('; ');
}

function digest(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
