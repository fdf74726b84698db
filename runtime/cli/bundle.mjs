// Makes of the command line one file: a tenth of a second less at every start than hundreds of modules take to be found.
// What is needed now and then stays outside; with what goes in go its licences.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { BUNDLED_WORKER, bundleProgram } from './bundle-program.mjs';

// What HTML carries inside itself, as a module: the same for the library and for the command line.
const inside = async (entry) => {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    format: 'iife',
    target: 'es2023',
    charset: 'utf8',
    logLevel: 'warning',
  });
  return JSON.stringify(outputFiles[0].text.trim());
};
const assets = {
  STYLE: 'runtime/html/style/report.css',
  SCRIPT: 'dist/runtime/html/browser/report.js',
  SERVE_STYLE: 'runtime/html/style/serve.css',
  SERVE_SCRIPT: 'dist/runtime/html/browser/serve-page.js',
  PICTURES_STYLE: 'runtime/html/style/pictures-page.css',
  PICTURES_SCRIPT: 'dist/runtime/html/browser/pictures-page.js',
};
const lines = await Promise.all(
  Object.entries(assets).map(async ([name, entry]) => `export const ${name} = ${await inside(entry)};\n`),
);
writeFileSync('dist/runtime/html/assets.js', lines.join(''));

// The part of every typed client that no model changes, as text.
const template = ['tensor', 'session', 'http'].map((name) => {
  const text = readFileSync(`runtime/typed-client/template/${name}.ts`, 'utf8');
  return `export const ${name.toUpperCase()} = ${JSON.stringify(text)};\n`;
});
writeFileSync('dist/runtime/typed-client/template-text.js', template.join(''));

const inputs = [
  ...(await bundleProgram('dist/runtime/cli/main.js', 'dist/ipgraft.cjs')),
  ...(await bundleProgram('dist/runtime/serve/workers/worker-main.js', `dist/${BUNDLED_WORKER}`)),
];

const folders = inputs
  .map((file) => file.match(/^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//)?.[1])
  .filter((folder) => folder !== undefined);
const licences = [...new Set(folders)].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  return `${name} ${version} (${license})\n\n${file === undefined ? '' : readFileSync(join(folder, file), 'utf8')}`;
});
writeFileSync('dist/ipgraft.licenses.txt', licences.join(`\n${'-'.repeat(80)}\n`));
