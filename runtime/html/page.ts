import { VERSION } from '../version.js';
import { SCRIPT, STYLE } from './assets.js';
import { documentOf, policyOf } from './document.js';
import { html, type Markup } from './markup.js';

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
  return documentOf({
    title,
    style: STYLE,
    script: SCRIPT,
    policy: policyOf(STYLE, SCRIPT),
    body: html`<a class="skip" href="#main">Skip to the report</a>
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
${stores}`,
  });
}
