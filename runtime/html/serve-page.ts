import { SERVE_SCRIPT, SERVE_STYLE } from './assets.js';
import { html } from './markup.js';
import { type PolicedPage, serveFrame } from './serve-frame.js';

/** The page of models. @param hasPictures whether it leads to a page of pictures */
export function servePage(hasPictures: boolean): PolicedPage {
  return serveFrame({
    name: 'Models',
    style: SERVE_STYLE,
    script: SERVE_SCRIPT,
    images: 'data:',
    hasPictures,
    noScript: html`The models are asked for by the script of this page, which does not run here. <a href="openapi.json">openapi.json</a> lists them too.`,
    show: 'Show the models',
    body: html`<div id="served" hidden>
<div class="bar">
<fieldset id="languages" class="choice"><legend>Requests in</legend></fieldset>
<button type="button" id="refresh" class="quiet">Refresh</button>
<p id="summary" role="status"></p>
</div>
<div id="models"></div>
</div>`,
  });
}
