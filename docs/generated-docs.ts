import { errorsPage } from './errors-page.js';
import { passesPage } from './passes-page.js';
import { pictures } from './pictures.js';
import { DOCUMENTS, REPORTS, reportSchema } from './reports.js';
import { reportsPage } from './reports-page.js';

/** The part of the docs that is made from the sources: file names below docs/ and their content. */
export async function generatedDocs(): Promise<Map<string, string>> {
  const files = new Map([
    ['errors.md', errorsPage()],
    ['passes.md', await passesPage()],
    ['reports.md', reportsPage()],
  ]);
  for (const [name, svg] of await pictures()) files.set(`pictures/${name}`, svg);
  for (const report of [...REPORTS, ...DOCUMENTS])
    files.set(`schemas/${report.name}.schema.json`, `${JSON.stringify(reportSchema(report), null, 2)}\n`);
  return files;
}
