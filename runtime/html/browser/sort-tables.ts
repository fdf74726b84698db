/** Lets every table of class `sortable` be sorted by the buttons in its head, by the `data-value` of its cells. */
export function sortTables(): void {
  for (const table of document.querySelectorAll<HTMLTableElement>('table.sortable')) {
    const heads = [...table.tHead!.rows[0]!.cells];
    const body = table.tBodies[0]!;
    heads.forEach((head, column) => {
      head.querySelector('button')?.addEventListener('click', () => {
        const direction = nextDirection(head, heads);
        const rows = [...body.rows].sort(
          (a, b) => direction * compareCells(a.cells[column]!, b.cells[column]!),
        );
        body.append(...rows);
      });
    });
  }
}

/** Marks `head` as what its table is sorted by; answers 1 for ascending, −1 for descending. */
export function nextDirection(head: Element, heads: readonly Element[]): 1 | -1 {
  const ascending = head.getAttribute('aria-sort') !== 'ascending';
  for (const other of heads) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
  return ascending ? 1 : -1;
}

function compareCells(a: HTMLTableCellElement, b: HTMLTableCellElement): number {
  const [x, y] = [a.dataset.value ?? '', b.dataset.value ?? ''];
  const difference = Number(x) - Number(y);
  return Number.isNaN(difference) ? x.localeCompare(y, 'en', { numeric: true }) : difference;
}
