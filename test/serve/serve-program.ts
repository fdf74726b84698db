/**
 * A program that serves a model in one worker, for tests that need one of their own: `serve-program MODEL [ROUNDS]`. Prints
 * the answer to five rounds, and stays in a run of ROUNDS, if they are given.
 */
import { serveModel } from '../../runtime/serve/workers/serve-model.js';
import { floatsOf, rounds } from './tensors.js';

const [model, endless] = process.argv.slice(2) as [string, string | undefined];

async function main(): Promise<void> {
  const served = await serveModel(model, { threads: 1 });
  const { outputs } = await served.infer(rounds(5));
  console.log(JSON.stringify(floatsOf(outputs[0]!)));
  if (endless === undefined) return served.close();
  await served.infer(rounds(BigInt(endless)));
}

void main();
