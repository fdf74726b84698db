import type { Graph } from '../../compiler/onnx/graph.js';
import { placeOf } from '../../passes/checkpoint-order.js';
import { counted } from '../counted.js';
import type { Check, SiteNumbers, Validation } from '../validate/validation.js';
import { barOf, logScale, scaleOf } from './log-bars.js';
import { type Content, code, html, type Markup } from './markup.js';
import { pageOf, type Section } from './page.js';
import { blocksOf } from './unet-boxes.js';
import { mapLegend, unetMap } from './unet-map.js';

/** Which models were validated. */
export interface ValidatedModels {
  readonly base: string;
  readonly patched: string;
  /** The base's: its names tell of all blocks of the UNet. */
  readonly graph: Graph;
}

/**
 * A validation as one HTML document: what it comes to in words, what failed and why, every check, and every cross-attention that was
 * recomputed with its differences beside what is allowed. The same validation is the same text.
 */
export function validationReport(validation: Validation, { base, patched, graph }: ValidatedModels): string {
  const { checks, sites } = validation;
  const sections: Section[] = [
    {
      id: 'checks',
      title: 'Checks',
      content: html`<ul class="checks">${checks.map(drawCheck)}</ul>${warnings(validation)}`,
    },
  ];
  if (sites.length > 0) {
    sections.push(
      { id: 'unet', title: 'UNet', content: mapOf(sites, graph) },
      { id: 'sites', title: 'Cross-attentions', content: numbers(validation) },
    );
  }
  return pageOf({
    kind: 'ipgraft validate',
    title: `${patched} beside ${base}`,
    lead: verdict(validation),
    sections,
  });
}

const STATES = {
  true: { state: 'good', words: '✓ holds' },
  false: { state: 'bad', words: '✗ fails' },
  null: { state: 'open', words: '? unknown' },
} as const;

function verdict({ passed, provider, engine, checks, sites }: Validation): Markup {
  const failingChecks = checks.filter((check) => check.passed === false).length;
  const failing = sites.filter((site) => !site.passed);
  const words = [
    ...(failingChecks > 0
      ? [`${counted(failingChecks, 'check')} ${failingChecks === 1 ? 'fails' : 'fail'}`]
      : []),
    ...(failing.length > 0
      ? [
          `${failing.length} of ${counted(sites.length, 'cross-attention')} ${failing.length === 1 ? 'differs' : 'differ'} by more than is allowed`,
        ]
      : []),
  ];
  const ran = `The patched model ran on ONNX Runtime’s ${provider} provider.`;
  const recomputed =
    engine !== null &&
    `${counted(sites.length, 'cross-attention')} recomputed by ${engine.name} ${engine.version}, backend ${engine.backend}.`;
  const which =
    failing.length > 0 &&
    html`<div class="note bad"><h2>What differs, and why</h2><ul>${failing.map(
      ({ id, scope, diagnosis }) =>
        html`<li><a href="#site-${id}">${code(scope)}</a>: ${diagnosis ?? 'why cannot be told'}</li>`,
    )}</ul></div>`;
  return html`<div class="verdict ${STATES[`${passed}`].state}"><span class="sign" aria-hidden="true">${passed ? '✓' : '✗'}</span><div><p class="words">${passed ? 'Every check that can be made holds' : words.join('; ')}</p><p>${ran} ${recomputed}</p></div></div>${which}`;
}

function drawCheck({ name, passed, difference, detail }: Check): Markup {
  const { state, words } = STATES[`${passed}`];
  return html`<li class="${state}"><span class="state">${words}</span><b>${name}</b><span class="number">${difference !== null && `difference ${shortNumber(difference)}`}</span><p>${detail}</p></li>`;
}

function warnings({ warnings: lines }: Validation): Content {
  return (
    lines.length > 0 &&
    html`<div class="note open"><h3>To know</h3><ul>${lines.map((line) => html`<li>${line}</li>`)}</ul></div>`
  );
}

function mapOf(sites: readonly SiteNumbers[], graph: Graph): Markup {
  const onMap = sites.map(({ id, scope, passed }) => ({
    id,
    scope,
    place: placeOf(scope),
    state: passed ? ('holds' as const) : ('fails' as const),
  }));
  return html`${mapLegend(onMap)}${unetMap(onMap, blocksOf(graph))}`;
}

function numbers({ sites }: Validation): Markup {
  const scale = logScale(sites.flatMap(({ relative, limit }) => [relative, limit]));
  const head = (title: string) =>
    html`<th scope="col" role="columnheader"><button type="button">${title}</button></th>`;
  return html`<p>The largest difference, over the largest value that was expected, on a logarithmic scale.</p><ul class="legend"><li class="of-limit">what is allowed</li></ul><div class="scroll" tabindex="0" role="group" aria-label="Differences of the cross-attentions"><table class="numbers sortable" role="table"><caption class="unseen">Differences of the cross-attentions</caption><thead role="rowgroup"><tr role="row">${head('Id')}${head('Cross-attention')}${head('Result')}<th scope="col" role="columnheader">${scaleOf(scale)}</th>${head('Relative')}${head('Absolute')}</tr></thead><tbody role="rowgroup">${sites.map((site) => rowOf(site))}</tbody></table></div>`;

  function rowOf({ id, scope, passed, difference, relative, limit, diagnosis }: SiteNumbers): Markup {
    const { state, words } = STATES[`${passed}`];
    return html`<tr role="row" id="site-${id}" class="${state}"><td role="cell" data-value="${id}">${id}</td><td role="cell" data-value="${scope}">${code(scope)}${diagnosis !== null && html`<p class="diagnosis">${diagnosis}</p>`}</td><td role="cell" data-value="${words}"><span class="state">${words}</span></td><td role="cell">${barOf(scale, relative, limit, passed)}</td><td role="cell" class="number" data-value="${relative}">${shortNumber(relative)}</td><td role="cell" class="number" data-value="${difference}">${shortNumber(difference)}</td></tr>`;
  }
}

/** Three digits are more than anybody compares. */
function shortNumber(number: number): string {
  if (number === 0) return '0';
  if (!Number.isFinite(number)) return 'not finite';
  return Math.abs(number) < 1e-3 ? number.toExponential(2) : number.toPrecision(3);
}
