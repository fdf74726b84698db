import { VERSION } from '../version.js';
import { documentOf, policyOf } from './document.js';
import { html, type Markup } from './markup.js';

/** A page of `ipgraft serve`, without what all its pages have. */
export interface ServePage {
  readonly name: 'Pictures' | 'Models';
  readonly style: string;
  readonly script: string;
  /** Besides what is always let: where pictures may come from. */
  readonly images: string;
  /** Whether there is a page of pictures at `/`. */
  readonly hasPictures: boolean;
  /** What is said where scripts do not run. */
  readonly noScript: Markup;
  /** What the button of the token's form says. */
  readonly show: string;
  /** Below heading and token's form; hidden until the server has answered. */
  readonly body: Markup;
}

/** A page and its content security policy, for the header. */
export interface PolicedPage {
  readonly text: string;
  readonly policy: string;
}

/**
 * A page of `ipgraft serve`: a shell without a model in it, whose script asks the server that it came from, and nobody else, for what is
 * there. All its pages have the same head, token's form and foot.
 */
export function serveFrame(page: ServePage): PolicedPage {
  const { name, style, script, images, hasPictures, noScript, show, body } = page;
  const policy = policyOf(style, script, ["connect-src 'self'", `img-src ${images}`]);
  const link = (to: string, text: string) =>
    html`<li><a href="${to}"${text === name && html` aria-current="page"`}>${text}</a></li>`;
  const text = documentOf({
    title: `${name} · ipgraft serve`,
    style,
    script,
    policy,
    head: html`<link rel="icon" href="${ICON}">
`,
    body: html`<a class="skip" href="#main">Skip to the ${name.toLowerCase()}</a>
<header class="top">
<div class="wide">
<p class="kind">ipgraft serve</p>
<nav aria-label="About the server"><ul>${hasPictures && [link('./', 'Pictures'), link('models', 'Models')]}<li class="more" hidden><a href="openapi.json">OpenAPI</a></li><li class="more" hidden><a href="metrics">Metrics</a></li></ul></nav>
<button type="button" id="theme" class="quiet" hidden>Dark</button>
</div>
</header>
<main id="main" class="wide" tabindex="-1">
<h1>${name}</h1>
<noscript><p class="note open">${noScript}</p></noscript>
<form id="token-form" class="bar" hidden>
<input type="text" autocomplete="username" value="ipgraft serve" hidden>
<label class="grow">Token <input id="token" type="password" autocomplete="current-password" spellcheck="false" required></label>
<button type="submit">${show}</button>
</form>
<p id="trouble" class="note bad" role="alert" hidden></p>
${body}
</main>
<footer class="wide"><p>ipgraft ${VERSION}. This page asks nobody but its server.</p></footer>`,
  });
  return { text, policy };
}

const ICON = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#17693f"/><path d="M8 3v10M3 8h10" stroke="#fff" stroke-width="2.4"/></svg>',
)}`;
