import { VERSION } from '../version.js';
import { SERVE_SCRIPT, SERVE_STYLE } from './assets.js';
import { documentOf, policyOf } from './document.js';
import { html } from './markup.js';

/** What the script fills in, and the picture of the tab. */
const MORE = ["connect-src 'self'", 'img-src data:'];

/**
 * The page of `ipgraft serve`: a shell without a model in it, whose script asks the server that it came from, and nobody else, for what is
 * there. With its content security policy, for the header.
 */
export function servePage(): { readonly text: string; readonly policy: string } {
  const policy = policyOf(SERVE_STYLE, SERVE_SCRIPT, MORE);
  const text = documentOf({
    title: 'Models · ipgraft serve',
    style: SERVE_STYLE,
    script: SERVE_SCRIPT,
    policy,
    head: html`<link rel="icon" href="${ICON}">
`,
    body: html`<a class="skip" href="#main">Skip to the models</a>
<header class="top">
<div class="wide">
<p class="kind">ipgraft serve</p>
<nav id="more" aria-label="About the server" hidden><ul><li><a href="openapi.json">OpenAPI</a></li><li><a href="metrics">Metrics</a></li></ul></nav>
<button type="button" id="theme" class="quiet" hidden>Dark</button>
</div>
</header>
<main id="main" class="wide" tabindex="-1">
<h1>Models</h1>
<noscript><p class="note open">The models are asked for by the script of this page, which does not run here. <a href="openapi.json">openapi.json</a> lists them too.</p></noscript>
<form id="token-form" class="bar" hidden>
<input type="text" autocomplete="username" value="ipgraft serve" hidden>
<label class="grow">Token <input id="token" type="password" autocomplete="current-password" spellcheck="false" required></label>
<button type="submit">Show the models</button>
</form>
<p id="trouble" class="note bad" role="alert" hidden></p>
<div id="served" hidden>
<div class="bar">
<fieldset id="languages"><legend>Requests in</legend></fieldset>
<button type="button" id="refresh" class="quiet">Refresh</button>
<p id="summary" role="status"></p>
</div>
<div id="models"></div>
</div>
</main>
<footer class="wide"><p>ipgraft ${VERSION}. This page asks nobody but its server.</p></footer>`,
  });
  return { text, policy };
}

const ICON = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#17693f"/><path d="M8 3v10M3 8h10" stroke="#fff" stroke-width="2.4"/></svg>',
)}`;
