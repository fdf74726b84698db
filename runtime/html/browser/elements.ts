/** The element with this id: a page without it would be a fault of its own code. */
export function byId<T extends Element = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new TypeError(`no element ${id}`);
  return found as Element as T;
}

/** A new element with text or other elements in it. Text stays text. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Readonly<Record<string, string>> = {},
  ...content: readonly (string | Node)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

/** A name in the letters of code, which a narrow page may break at its dots, slashes and underscores. */
export function code(name: string): HTMLElement {
  const pieces = name.match(/[./]*[^./_]+_*|[./_]+/g) ?? [];
  return element('code', {}, ...pieces.flatMap((piece, i) => (i > 0 ? [element('wbr'), piece] : [piece])));
}

/** What the page holds for its script; `undefined` where it has nothing of this name. */
export function dataOf<T>(id: string): T | undefined {
  const island = document.getElementById(id);
  return island === null ? undefined : (JSON.parse(island.textContent) as T);
}
