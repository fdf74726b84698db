import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { freshFolder } from '../fixtures.js';

/** Where a Chromium may be; nothing is downloaded. */
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** A browser without a window, or `null` where there is none. */
export async function startBrowser(...args: readonly string[]): Promise<Browser | null> {
  const executablePath = PLACES.find((path) => existsSync(path));
  return executablePath === undefined
    ? null
    : chromium.launch({ executablePath, args: ['--no-sandbox', ...args] });
}

/** A browser for a suite, whose tests are skipped where there is none. */
export async function browserOrSkip(suite: Mocha.Context): Promise<Browser> {
  const started = await startBrowser();
  if (started !== null) return started;
  console.log('    skipped: no Chromium is installed');
  return suite.skip();
}

/** How a reader looks at a page. */
export interface Reader {
  readonly width: number;
  readonly scheme: 'light' | 'dark';
}

/** At a desk, … */
export const DESK: Reader = { width: 1280, scheme: 'light' };

/** … on a phone, and in the dark. */
export const READERS: readonly Reader[] = [
  DESK,
  { width: 1280, scheme: 'dark' },
  { width: 390, scheme: 'light' },
  { width: 390, scheme: 'dark' },
];

/** A page that is open, with all that it complained about or asked of a network. */
export interface OpenPage {
  readonly page: Page;
  readonly complaints: string[];
}

/** Opens a report as a file, as readers do. */
export function openReport(browser: Browser, report: string, reader: Reader): Promise<OpenPage> {
  const path = join(freshFolder(), 'report.html');
  writeFileSync(path, report);
  const address = pathToFileURL(path).href;
  return openAddress(browser, address, reader, (url) => url.split('#')[0] === address);
}

/** Opens an address. @param isOwn whether the page may ask for an address */
export async function openAddress(
  browser: Browser,
  address: string,
  { width, scheme }: Reader,
  isOwn: (url: string) => boolean,
): Promise<OpenPage> {
  const context = await browser.newContext({
    viewport: { width, height: 850 },
    colorScheme: scheme,
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('dialog', (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!isOwn(request.url())) complaints.push(`asked for ${request.url()}`);
  });
  await page.goto(address);
  return { page, complaints };
}

/** Opens a page of a server, and in the end closes it and looks at what it complained about, but for what is expected. */
export async function readPage(
  browser: Browser,
  url: string,
  path: string,
  reader: Reader,
  work: (page: Page) => Promise<void>,
  expected = /^$/,
): Promise<void> {
  const isOwn = (asked: string) => asked.startsWith(`${url}/`) || asked.startsWith(`blob:${url}/`);
  const { page, complaints } = await openAddress(browser, `${url}${path}`, reader, isOwn);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await work(page);
  assert.deepEqual(
    complaints.filter((each) => !expected.test(each)),
    [],
  );
  await page.context().close();
}

/** Whether all of a page is as wide as the window. */
export async function checkWidth(page: Page): Promise<void> {
  const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content! <= screen!, `${content} > ${screen}`);
}

/** Holds a page to axe-core's rules, those of good practice among them. */
export async function checkAccessible(page: Page): Promise<void> {
  await page.evaluate(axe.source);
  const violations = await page.evaluate(async () => {
    const { axe: loaded } = globalThis as unknown as { axe: typeof import('axe-core') };
    const { violations: found } = await loaded.run();
    return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join('\n  ')}`);
  });
  assert.deepEqual(violations, []);
}
