import { PICTURES_SCRIPT, PICTURES_STYLE } from './assets.js';
import { html } from './markup.js';
import { type PolicedPage, serveFrame } from './serve-frame.js';

/** The page of pictures: what is asked for on the left, what came of it on the right. */
export function picturesPage(): PolicedPage {
  return serveFrame({
    name: 'Pictures',
    style: PICTURES_STYLE,
    script: PICTURES_SCRIPT,
    // Pictures are kept in memory, previews come as text.
    images: 'data: blob:',
    hasPictures: true,
    noScript: html`Pictures are asked for by the script of this page, which does not run here.`,
    show: 'Show the page',
    body: html`<div id="studio" hidden>
${WISH}
<div id="made">
${STAGE}
<section id="gallery" aria-labelledby="gallery-title" hidden>
<h2 id="gallery-title">Made in this visit</h2>
<ul id="shots"></ul>
<p class="hint">Kept in this window alone: they go when it is closed or loaded again.</p>
</section>
</div>
</div>`,
  });
}

const FAULT = (field: string) => html`<p class="fault" id="fault-${field}" hidden></p>`;

const NUMBER = (id: string, label: string, step: string, min: string, max = '') =>
  html`<label>${label} <input id="${id}" type="number" inputmode="decimal" min="${min}"${max !== '' && html` max="${max}"`} step="${step}" required aria-describedby="fault-${id}"></label>`;

const MORE = html`<details id="more">
<summary>More</summary>
<div class="fields">
${NUMBER('guidance', 'Guidance', '0.5', '0', '100')}
<label>Scheduler <select id="scheduler" aria-describedby="fault-scheduler"></select></label>
${NUMBER('pictures', 'Pictures', '1', '1')}
</div>
${FAULT('guidance')}${FAULT('scheduler')}${FAULT('pictures')}
<div id="start-from">
<div class="pair">
<div id="init-image"></div>
<div id="mask"></div>
</div>
${FAULT('init-image')}${FAULT('mask')}
<label class="slider" id="strength-row" hidden><span>Strength <span id="strength-value" class="value" aria-hidden="true"></span></span> <input id="strength" type="range" min="0" max="1" step="0.05" aria-describedby="strength-hint fault-strength"></label>
<p class="hint" id="strength-hint" hidden>How much of the picture is painted over; of the steps, so many are taken.</p>
${FAULT('strength')}
</div>
</details>`;

const WISH = html`<form id="wish" novalidate autocomplete="off">
<label id="model-row" hidden>Pipeline <select id="model"></select></label>
<label>Prompt <textarea id="prompt" rows="3" aria-describedby="fault-prompt" placeholder="What is to be seen"></textarea></label>
${FAULT('prompt')}
<label>Negative prompt <textarea id="negative" rows="1" aria-describedby="fault-negative" placeholder="What is not to be seen"></textarea></label>
${FAULT('negative')}
<div id="adapters"></div>
<div class="fields">
<label>Width <input id="width" type="number" inputmode="numeric" required aria-describedby="fault-size"></label>
<button type="button" id="turn" class="icon" aria-label="Exchange width and height" title="Exchange width and height">⇄</button>
<label>Height <input id="height" type="number" inputmode="numeric" required aria-describedby="fault-size"></label>
${NUMBER('steps', 'Steps', '1', '1')}
</div>
${FAULT('size')}${FAULT('steps')}
<div class="fields">
<label class="grow">Seed <input id="seed" type="number" inputmode="numeric" min="0" max="9007199254740991" step="1" required aria-describedby="fault-seed"></label>
<button type="button" id="die" class="icon" aria-label="Another seed" title="Another seed">⚄</button>
<label class="check"><input id="keep" type="checkbox"> Keep</label>
</div>
${FAULT('seed')}
${MORE}
<div id="go">
<button type="submit" id="generate">Generate <kbd>Ctrl ⏎</kbd></button>
</div>
<p class="fault" id="fault-all" role="alert" hidden></p>
</form>`;

const STAGE = html`<section id="stage" aria-labelledby="stage-title">
<h2 id="stage-title" class="unseen">Picture</h2>
<div id="frame"><p id="nothing">A picture appears here. Its prompt is on the <span class="wide-only">left</span><span class="narrow-only">top</span>.</p></div>
<div id="progress" hidden>
<progress id="bar" aria-labelledby="progress-words"></progress>
<div class="bar">
<p id="progress-words" class="grow"></p>
<button type="button" id="cancel">Cancel <kbd>Esc</kbd></button>
</div>
</div>
<p id="status" role="status" class="unseen"></p>
<div id="about" hidden></div>
</section>`;
