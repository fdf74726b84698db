import { type Counts, KINDS, type ModelDiff, type Proof, SUBJECTS } from '../../compiler/diff/model-diff.js';
import type { Graph } from '../../compiler/onnx/graph.js';
import { counted, grouped } from '../counted.js';
import { changesData } from './change-rows.js';
import { type DrawnSites, drawNeighbourhood, drawSites, sitesIn } from './drawn-sites.js';
import { GraphPair, type NodeMark } from './graph-pair.js';
import { type Content, code, dataIsland, html, type Markup } from './markup.js';
import { pageOf, type Section } from './page.js';
import { blocksOf } from './unet-boxes.js';
import { mapLegend, type SiteState, unetMap } from './unet-map.js';

/**
 * A comparison as one HTML document: what it comes to in words, the UNet with its cross-attentions, each of them before and after, and all
 * changes in a table. `before` and `after` are the graphs that were compared; where the first is no UNet, what changed is drawn instead if it
 * is little. The same comparison is the same text.
 */
export async function diffReport(diff: ModelDiff, before: Graph, after: Graph): Promise<string> {
  const { instance } = await import('@viz-js/viz');
  const viz = await instance();
  const pair = new GraphPair(before, after, diff.changes);
  const drawn = drawSites(viz, pair, sitesIn(before));
  const sections: Section[] = [{ id: 'summary', title: 'Summary', content: summary(diff) }];
  const stores: Markup[] = [];
  if (drawn.sites.length > 0) {
    sections.push(
      {
        id: 'unet',
        title: 'UNet',
        content: html`<p>${patchedWords(drawn)} Choose one to see its graph.</p>${mapLegend(drawn.sites)}${unetMap(drawn.sites, blocksOf(before))}`,
      },
      { id: 'site', title: 'One cross-attention', content: siteViewer(drawn) },
    );
    stores.push(
      ...drawn.drawings.map((drawing, i) => html`<template id="drawing-${i}">${drawing}</template>`),
      dataIsland(
        'sites-data',
        drawn.sites.map(({ data }) => data),
      ),
    );
  } else {
    const near = drawNeighbourhood(viz, pair);
    if (near !== null)
      sections.push({
        id: 'near',
        title: 'Around the changes',
        content: html`${graphLegend(near.marks)}${near.drawing}`,
      });
  }
  if (diff.changes.length > 0) {
    sections.push({ id: 'changes', title: 'Changes', content: changesTable(diff) });
    stores.push(dataIsland('changes-data', changesData(diff)));
  }
  return pageOf({
    kind: 'ipgraft diff',
    title: `${diff.a.file} → ${diff.b.file}`,
    lead: verdict(diff, drawn),
    sections,
    stores,
  });
}

function patchedWords({ sites }: DrawnSites): string {
  const count = (state: SiteState) => sites.filter((site) => site.state === state).length;
  const [patched, changed] = [count('patched'), count('changed')];
  const words =
    patched === 0
      ? `None of the ${counted(sites.length, 'cross-attention')} is patched`
      : `${patched === sites.length ? `All ${patched}` : `${patched} of ${sites.length}`} cross-attentions are patched`;
  return changed === 0 ? `${words}.` : `${words}; ${changed} changed otherwise.`;
}

function verdict({ changes, proof }: ModelDiff, drawn: DrawnSites): Markup {
  const also = drawn.sites.some(({ state }) => state !== 'untouched') && patchedWords(drawn);
  if (changes.length === 0 && proof === null)
    return banner('good', '✓', 'The two models are the same', ['No difference was found.']);
  if (proof === null)
    return banner('open', '?', counted(changes.length, 'difference'), [
      'B does not say that it was made of A, so there is nothing to hold them against.',
      also,
    ]);
  const { holds, source, edits, unexplained, faults, open } = proof;
  const declared = `${counted(edits, 'edit')} that ${source === 'journal' ? 'B declares' : 'compiling A again makes'}`;
  if (holds)
    return banner('good', '✓', 'B is A with the declared edits, and nothing else', [
      `The ${counted(changes.length, 'difference')} are the ${declared} and what they bring; undone, they give A back, byte for byte.`,
      open.length > 0 && 'Not everything was compared: see below.',
      also,
    ]);
  return banner('bad', '✗', 'B is not A with the declared edits alone', [
    `Of ${counted(changes.length, 'difference')} ${grouped(unexplained.length)} ${unexplained.length === 1 ? 'is' : 'are'} none of the ${declared}; ${counted(faults.length, 'fault')} beside.`,
    also,
  ]);
}

function banner(
  state: 'good' | 'bad' | 'open',
  sign: string,
  words: string,
  sentences: readonly Content[],
): Markup {
  return html`<div class="verdict ${state}"><span class="sign" aria-hidden="true">${sign}</span><div><p class="words">${words}</p>${sentences.filter(Boolean).map((sentence) => html`<p>${sentence}</p>`)}</div></div>`;
}

function summary({ a, b, counts, proof }: ModelDiff): Markup {
  const facts: [string, Content, Content][] = [
    ['File', code(a.file), code(b.file)],
    ['Size', `${grouped(a.bytes)} bytes`, `${grouped(b.bytes)} bytes`],
    ['Opset', a.opset, b.opset],
    ['IR version', a.irVersion, b.irVersion],
    ['Nodes', grouped(a.nodes), grouped(b.nodes)],
  ];
  return html`${proof !== null && proofDetails(proof)}<div class="tables"><div class="scroll" tabindex="0" role="group" aria-label="The two models"><table class="facts"><caption>The two models</caption><thead><tr><td></td><th scope="col">A</th><th scope="col">B</th></tr></thead><tbody>${facts.map(
    ([name, left, right]) => html`<tr><th scope="row">${name}</th><td>${left}</td><td>${right}</td></tr>`,
  )}</tbody></table></div>${countsTable(counts)}</div>`;
}

function proofDetails({ faults, open, unexplained, explained }: Proof): Markup {
  const list = (title: string, state: string, lines: readonly string[]) =>
    lines.length > 0 &&
    html`<div class="note ${state}"><h3>${title}</h3><ul>${lines.slice(0, MOST_LINES).map((line) => html`<li>${line}</li>`)}${lines.length > MOST_LINES && html`<li>and ${grouped(lines.length - MOST_LINES)} more</li>`}</ul></div>`;
  return html`${unexplained.length > 0 && html`<div class="note bad"><h3>Not declared</h3><p>${counted(unexplained.length, 'difference')}: <a href="#changes" data-declared="no">see them in the table</a>.</p></div>`}${list('Faults', 'bad', faults)}${list('Not compared', 'open', open)}${explained.length > 0 && html`<p class="declared">Declared: ${explained.map(({ edit, changes }, i) => html`${i > 0 && ', '}<b>${edit}</b> × ${grouped(changes.length)}`)}.</p>`}`;
}

const MOST_LINES = 50;

const COUNTED = ['unchanged', ...KINDS] as const;

function countsTable(counts: ModelDiff['counts']): Markup {
  const rows = SUBJECTS.filter((subject) => COUNTED.some((kind) => counts[subject][kind] > 0));
  const columns = COUNTED.filter((kind) => rows.some((subject) => counts[subject][kind] > 0));
  const cell = (of: Counts, kind: (typeof COUNTED)[number]) =>
    of[kind] === 0 ? html`<td class="none">·</td>` : html`<td class="${kind}">${grouped(of[kind])}</td>`;
  return html`<div class="scroll" tabindex="0" role="group" aria-label="What differs, counted"><table class="counts"><caption>What differs, counted</caption><thead><tr><td></td>${columns.map((kind) => html`<th scope="col">${kind}</th>`)}</tr></thead><tbody>${rows.map(
    (subject) =>
      html`<tr><th scope="row">${subject}</th>${columns.map((kind) => cell(counts[subject], kind))}</tr>`,
  )}</tbody></table></div>`;
}

const GRAPH_WORDS: readonly (readonly [mark: NodeMark | 'rewired', form: string, words: string])[] = [
  ['kept', 'kept', 'as it was'],
  ['new', 'new', 'new'],
  ['gone', 'gone', 'gone'],
  ['changed', 'altered', 'changed'],
  ['rewired', 'rewired', 'reads another value now'],
  ['value', 'value', 'from outside'],
];

/** Of the forms in the graphs those that occur. */
function graphLegend(marks: DrawnSites['marks']): Markup {
  const items = GRAPH_WORDS.filter(([mark]) => marks.has(mark));
  return html`<ul class="legend">${items.map(([, form, words]) => html`<li class="of-${form}">${words}</li>`)}</ul>`;
}

/** Filled by browser/site-viewer.ts. */
function siteViewer({ marks }: DrawnSites): Markup {
  return html`<noscript><p>The graphs need the script inside this file.</p></noscript><div id="site-viewer" hidden><div class="bar"><label>Cross-attention <select id="site-choice"></select></label><button type="button" id="site-previous" class="quiet">Previous</button><button type="button" id="site-next" class="quiet">Next</button></div><h3 id="site-name" tabindex="-1"></h3>${graphLegend(marks)}<div id="site-drawing"></div><p id="site-node" role="status">Point at a box, or touch it, for its full name. What only computes shapes is left out.</p><details><summary>All boxes as a list</summary><div id="site-list"></div></details></div>`;
}

/** Filled by browser/change-table.ts. */
function changesTable({ proof, changes }: ModelDiff): Markup {
  return html`<noscript><p>The table needs the script inside this file.</p></noscript><div id="change-viewer" hidden><form class="bar" role="search" aria-label="Filter changes"><label class="grow">Search <input type="search" id="change-search" autocomplete="off" spellcheck="false" placeholder="names, operators, shapes"></label><label>Subject <select id="change-subject"><option value="">all</option></select></label><label>Kind <select id="change-kind"><option value="">all</option></select></label>${proof !== null && html`<label>Declared <select id="change-declared"><option value="">all</option></select></label>`}</form><p id="change-count" role="status">${counted(changes.length, 'change')}</p><div class="scroll" tabindex="0" role="group" aria-label="Changes"><table class="changes" role="table"><caption class="unseen">Changes</caption><thead role="rowgroup"><tr role="row"></tr></thead><tbody role="rowgroup"></tbody></table></div><div class="bar pager"><button type="button" id="page-previous" class="quiet">Previous page</button><span id="page-words"></span><button type="button" id="page-next" class="quiet">Next page</button></div></div>`;
}
