import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ipgraft } from '../command.js';
import {
  adapterPath,
  EXPORTS,
  familyOf,
  fixturePath,
  freshFolder,
  modelPath,
  unpackForm,
  VARIANTS,
} from '../fixtures.js';
import { COMMITTED, formsIn } from '../form-checks.js';
import { patchFile } from '../patched.js';
import { encoderModel, projection } from '../serve/image-models.js';

/** Newest release: forms of every opset are packaged for it. */
const TARGET = ['--target', '26.08'];
/** Adapters are in one piece, attention in functions. */
const UNPATCHED = ['functions'];

async function run(...args: readonly string[]): Promise<string> {
  const { code, stderr } = await ipgraft('package', 'triton', ...args);
  return code === 0 ? '' : stderr;
}

/** One patched UNet, plain and batched, and what leads from a picture to it, in one repository. */
export async function packagedRepository(): Promise<string> {
  const folder = join(freshFolder(), 'models');
  const unet = modelPath('sd15-sdpa-ts17');
  const { path } = await patchFile(unet, [adapterPath('sd15', 'base')], { tokens: 'input' });
  const faults = [
    await run(path, await projection('base'), encoderModel(), '--name', 'plain', '-o', folder),
    await run(path, '--name', 'batched', '--batched', '--max-batch', '4', '-o', folder),
  ];
  if (faults.some((fault) => fault !== '')) throw new Error(faults.join('\n'));
  return folder;
}

/** Every fixture, base and patched, packaged plain and batched: a repository each. What has no batch is left out of the latter. */
export async function packagedFixtures(): Promise<string[]> {
  const models = [
    ...[...EXPORTS, ...VARIANTS].map((name) => ({
      base: modelPath(name),
      adapter: adapterPath(familyOf(name), 'base'),
    })),
    ...formsIn(COMMITTED).map(({ file, unet, form }) => ({
      base: unpackForm(COMMITTED, file.replace(/\.gz$/, '')),
      adapter:
        unet === 'controlnet' || UNPATCHED.includes(form)
          ? null
          : fixturePath('forms', `${unet}.adapter.safetensors`),
    })),
  ];
  const folders: string[] = [];
  for (const { base, adapter } of models) {
    const patched = adapter === null ? [] : [(await patchFile(base, [adapter], { tokens: 'input' })).path];
    for (const model of [base, ...patched])
      for (const batched of [[], ['--batched']]) {
        const folder = join(freshFolder(), 'models');
        const fault = await run(model, '-o', folder, ...TARGET, ...batched, '--name', 'unet');
        if (fault === '') folders.push(folder);
        else if (!isExpected(fault, base)) throw new Error(`${base}: ${fault}`);
      }
  }
  console.log(
    `${folders.length} repositories of ${models.length} fixtures, ${readdirSync(folders[0]!)} each`,
  );
  return folders;
}

/** Exports of fixed sizes have no batch; that bfloat16 goes in or out is nothing that Triton's backend knows. */
function isExpected(fault: string, base: string): boolean {
  return fault.startsWith('MODEL_NOT_BATCHED') && /static|motion/.test(base);
}
