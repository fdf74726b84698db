import type { ChangeRow, ChangesData } from '../report-data.js';
import { byId, code, dataOf, element } from './elements.js';
import { nextDirection } from './sort-tables.js';

/** Rows in the page at one time: as many as can be looked through, and fast on a phone. */
const PAGE = 100;
/** How long the reader's fingers rest before the table is searched, in milliseconds. */
const REST = 60;

/** Shows the changes a page at a time: searched, filtered by subject, kind and declaration, sorted by any column. */
export function showChanges(): void {
  const data = dataOf<ChangesData>('changes-data');
  if (data === undefined) return;
  const { subjects, kinds, edits, rows } = data;
  const [search, subject, kind] = [
    byId<HTMLInputElement>('change-search'),
    byId<HTMLSelectElement>('change-subject'),
    byId<HTMLSelectElement>('change-kind'),
  ];
  const declared = edits === null ? null : byId<HTMLSelectElement>('change-declared');
  offer(subject, subjects, rows, 0);
  offer(kind, kinds, rows, 1);
  if (edits !== null) offer(declared!, edits, rows, 5);
  // Made when the reader first searches.
  let texts: readonly string[] | undefined;
  let found: readonly number[] = rows.map((_, i) => i);
  let order: { column: number; direction: 1 | -1 } | undefined;
  let page = 0;

  const table = document.querySelector<HTMLTableElement>('table.changes')!;
  const columns = [
    'Kind',
    'Subject',
    'Name',
    'What it is',
    'Difference',
    ...(edits === null ? [] : ['Declared by']),
  ];
  const places = [1, 0, 2, 3, 4, 5];
  const heads = columns.map((title) =>
    element('th', { scope: 'col', role: 'columnheader' }, element('button', { type: 'button' }, title)),
  );
  table.tHead!.rows[0]!.append(...heads);
  heads.forEach((head, i) => {
    head.querySelector('button')!.addEventListener('click', () => {
      order = { column: places[i]!, direction: nextDirection(head, heads) };
      update();
    });
  });

  function update(): void {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length > 0) texts ??= rows.map((row) => `${row[2]}\n${row[3]}\n${row[4]}`.toLowerCase());
    const chosen = { subject: numberOf(subject), kind: numberOf(kind), declared: numberOf(declared) };
    const matching: number[] = [];
    rows.forEach((row, i) => {
      if (chosen.subject !== null && row[0] !== chosen.subject) return;
      if (chosen.kind !== null && row[1] !== chosen.kind) return;
      if (chosen.declared !== null && row[5] !== chosen.declared) return;
      if (words.every((word) => texts![i]!.includes(word))) matching.push(i);
    });
    found = order === undefined ? matching : sorted(rows, matching, order.column, order.direction);
    page = 0;
    showPage();
  }

  function showPage(): void {
    const first = page * PAGE;
    const here = found.slice(first, first + PAGE);
    table.tBodies[0]!.replaceChildren(...here.map((i) => rowOf(data!, rows[i]!)));
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    const all = found.length === rows.length ? '' : ` of ${grouped(rows.length)}`;
    byId('change-count').textContent =
      `${grouped(found.length)}${all} ${rows.length === 1 ? 'change' : 'changes'}`;
    byId('page-words').textContent =
      found.length === 0 ? 'nothing found' : `${grouped(first + 1)}–${grouped(first + here.length)}`;
    byId<HTMLButtonElement>('page-previous').disabled = page === 0;
    byId<HTMLButtonElement>('page-next').disabled = page >= pages - 1;
    document.querySelector<HTMLElement>('.pager')!.hidden = pages === 1;
  }

  function turn(by: number): void {
    page += by;
    showPage();
    table.scrollIntoView({ block: 'start' });
  }

  let resting: ReturnType<typeof setTimeout> | undefined;
  search.addEventListener('input', () => {
    clearTimeout(resting);
    resting = setTimeout(update, REST);
  });
  for (const choice of [subject, kind, declared]) choice?.addEventListener('change', update);
  byId('page-previous').addEventListener('click', () => turn(-1));
  byId('page-next').addEventListener('click', () => turn(1));
  search.form!.addEventListener('submit', (event) => event.preventDefault());
  document.querySelector('[data-declared]')?.addEventListener('click', () => {
    declared!.value = '-1';
    update();
  });
  showPage();
  byId('change-viewer').hidden = false;
}

/** The values that occur, with how often. */
function offer(
  select: HTMLSelectElement,
  names: readonly string[],
  rows: readonly ChangeRow[],
  column: 0 | 1 | 5,
): void {
  const counts = new Map<number, number>();
  for (const row of rows) counts.set(row[column], (counts.get(row[column]) ?? 0) + 1);
  const undeclared =
    column === 5 && counts.has(-1)
      ? [element('option', { value: '-1' }, `not declared (${grouped(counts.get(-1)!)})`)]
      : [];
  const options = names.flatMap((name, i) =>
    counts.has(i) ? [element('option', { value: `${i}` }, `${name} (${grouped(counts.get(i)!)})`)] : [],
  );
  select.append(...undeclared, ...options);
}

function numberOf(select: HTMLSelectElement | null): number | null {
  return select === null || select.value === '' ? null : Number(select.value);
}

function sorted(
  rows: readonly ChangeRow[],
  matching: readonly number[],
  column: number,
  direction: 1 | -1,
): number[] {
  const collator = new Intl.Collator('en', { numeric: true });
  return [...matching].sort((a, b) => {
    const [x, y] = [rows[a]![column]!, rows[b]![column]!];
    const difference = typeof x === 'number' ? x - (y as number) : collator.compare(x, y as string);
    return direction * difference || a - b;
  });
}

function rowOf(
  { subjects, kinds, edits }: ChangesData,
  [subject, kind, name, label, what, declared]: ChangeRow,
): HTMLElement {
  const cell = (title: string, content: string | Node, attributes = {}) =>
    element('td', { role: 'cell', 'data-title': title, ...attributes }, content);
  const isDeclared = declared >= 0;
  return element(
    'tr',
    { role: 'row' },
    cell('Kind', element('span', { class: `mark ${kinds[kind]!}` }, kinds[kind]!)),
    cell('Subject', subjects[subject]!),
    cell('Name', code(name)),
    cell('What it is', code(label)),
    cell('Difference', code(what)),
    ...(edits === null
      ? []
      : [
          cell(
            'Declared by',
            isDeclared ? edits[declared]! : '✗ nothing',
            isDeclared ? {} : { class: 'undeclared' },
          ),
        ]),
  );
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
