import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Report } from './reports.js';

/** What the examples find: a bundled export with two adapters of one family, and what there must be of a pipeline with one. */
const FILES = {
  'model.onnx': 'fixtures/models/sd15-sdpa-ts17.onnx.gz',
  'ip-adapter.safetensors': 'fixtures/adapters/sd15-base.safetensors',
  'other.safetensors': 'fixtures/kinds/comfy-penalty.adapter.safetensors.gz',
  'pipeline/model_index.json': 'fixtures/pipeline/onnx/model_index.json',
  'pipeline/unet/model.onnx': 'fixtures/pipeline/onnx/unet/model.onnx.gz',
  'tiny.safetensors': 'fixtures/pipeline/adapter.safetensors',
};

/** Runs the examples of the reports, one after the other in one folder, and answers with what each printed, by the report's name. */
export function reportExamples(reports: readonly Report[]): Map<string, unknown> {
  const folder = mkdtempSync(join(tmpdir(), 'ipgraft-docs-'));
  try {
    for (const [name, fixture] of Object.entries(FILES)) {
      const bytes = readFileSync(fixture);
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), fixture.endsWith('.gz') ? gunzipSync(bytes) : bytes);
    }
    return new Map(
      reports.flatMap(({ name, example }) =>
        example === undefined ? [] : [[name, run(name, example, folder)]],
      ),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function run(name: string, example: string, cwd: string): unknown {
  const args = [resolve('dist/ipgraft.cjs'), ...example.split(' ')];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' });
  if ((status === 0) === (name !== 'error')) return JSON.parse(stdout);
  throw new Error(`ipgraft ${example} ended with ${status}: ${stderr}`);
}

/** A line of the page. */
const WIDTH = 120;
/** How many elements of a long list are shown, and how many characters are not long. */
const SHOWN = 2;
const SHORT = 60;

/**
 * JSON for readers, as JSON with comments: of long lists only the first elements, and of measured numbers two digits, because the
 * others are another machine's.
 */
export function shortened(value: unknown, indent = ''): string {
  if (typeof value === 'number' && !Number.isInteger(value)) return `${Number(value.toPrecision(2))}`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const isList = Array.isArray(value);
  const [open, close] = isList ? '[]' : '{}';
  const inner = `${indent}  `;
  const all = isList
    ? value.map((each) => shortened(each, inner))
    : Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${shortened(each, inner)}`);
  const isFlat = all.every((each) => !each.includes('\n'));
  const line = isList ? `[${all.join(', ')}]` : `{ ${all.join(', ')} }`;
  if (all.length === 0) return `${open}${close}`;
  const isShort = !isList || all.length <= SHOWN + 1 || (isFlat && line.length <= SHORT);
  if (isFlat && isShort && indent !== '' && indent.length + line.length <= WIDTH) return line;
  const shown = isList && !isShort ? all.slice(0, SHOWN) : all;
  const left = all.length - shown.length;
  const rest = left === 0 ? '' : `\n${inner}// … ${left} more`;
  return `${open}\n${shown.map((each) => `${inner}${each}`).join(',\n')}${rest}\n${indent}${close}`;
}
