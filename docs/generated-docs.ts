import { errorsPage } from './errors-page.js';
import { passesPage } from './passes-page.js';
import { pictures } from './pictures.js';

/** The part of the docs that is made from the sources: file names below docs/ and their content. */
export async function generatedDocs(): Promise<Map<string, string>> {
  const files = new Map([
    ['errors.md', errorsPage()],
    ['passes.md', await passesPage()],
  ]);
  for (const [name, svg] of await pictures()) files.set(`pictures/${name}`, svg);
  return files;
}
