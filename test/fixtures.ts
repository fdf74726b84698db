import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** The fixtures folder of the checkout; tests run from its root. */
const FIXTURES = join(process.cwd(), 'fixtures');

/** A folder for this test run, gone when it ends. */
export const WORK = mkdtempSync(join(tmpdir(), 'ipgraft-test-'));
process.once('exit', () => rmSync(WORK, { recursive: true, force: true }));

export const FAMILIES = ['sd15', 'sd21', 'sdxl'] as const;
export type UnetFamily = (typeof FAMILIES)[number];
export const KINDS = ['base', 'plus', 'full-face'] as const;
export type AdapterKind = (typeof KINDS)[number];

/** Every real export that is committed, by name; the part before the first dash is its UNet. */
export const EXPORTS = [
  'sd15-sdpa-ts17',
  'sd15-classic-ts14',
  'sd15-sdpa-dynamo18',
  'sd15-sdpa-dynamo23',
  'sd15-wrapped-ts17',
  'sd21-sdpa-ts17',
  'sdxl-sdpa-ts17',
  'sdxl-sdpa-dynamo18',
] as const;

/** What tools made of an export. */
export const VARIANTS = ['sd15-sdpa-ts17-fp16', 'sd15-sdpa-ts17-static', 'sd15-sdpa-ts17-external'] as const;

export function familyOf(model: string): UnetFamily {
  return model.slice(0, model.indexOf('-')) as UnetFamily;
}

const unpacked = new Set<string>();

/** Path of an unpacked model; its external data, if it has any, lies beside it. */
export function modelPath(name: string): string {
  const folder = join(WORK, 'models');
  const path = join(folder, `${name}.onnx`);
  if (!unpacked.has(name)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, gunzipSync(readFileSync(join(FIXTURES, 'models', `${name}.onnx.gz`))));
    // Two variants share one data file.
    if (/-(external|static)$/.test(name)) {
      const data = 'sd15-sdpa-ts17-external.onnx_data';
      writeFileSync(join(folder, data), gunzipSync(readFileSync(join(FIXTURES, 'models', `${data}.gz`))));
    }
    unpacked.add(name);
  }
  return path;
}

export function adapterPath(
  family: UnetFamily,
  kind: AdapterKind,
  format: 'safetensors' | 'bin' = 'safetensors',
): string {
  return join(FIXTURES, 'adapters', `${family}-${kind}.${format}`);
}

export function fixturePath(...parts: string[]): string {
  return join(FIXTURES, ...parts);
}

/** A new empty folder of this run. */
export function freshFolder(): string {
  return mkdtempSync(join(WORK, 'case-'));
}

/** A folder in which nobody may write: permissions do not hold root back, but no one can make files in /sys. */
export function closedFolder(): string {
  if (process.getuid?.() === 0) return '/sys';
  const folder = freshFolder();
  chmodSync(folder, 0o555);
  return folder;
}

/** A form of fixtures/forms, unpacked. */
export function formPath(name: string): string {
  return unpackForm(fixturePath('forms'), `${name}.onnx`);
}

/** A gzipped model of a folder of forms with its data files, unpacked into a folder of its own. */
export function unpackForm(folder: string, model: string): string {
  const target = freshFolder();
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(model) || !name.endsWith('.gz')) continue;
    writeFileSync(join(target, name.replace(/\.gz$/, '')), gunzipSync(readFileSync(join(folder, name))));
  }
  return join(target, model);
}
