/**
 * One step of a model on a provider, and which provider ran which of its nodes that make floats:
 * `node provider-step.js PROVIDER MODEL FOLDER IMAGE_TOKENS`. A process of its own, because the environment chooses drivers and precision.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const [provider, model, folder, imageTokens] = process.argv.slice(2) as [string, string, string, string];
const TEXT_TOKENS = 7;
const ROWS = 2;
const SIDE = 16;

const session = await InferenceSession.create(model, {
  executionProviders: [provider],
  enableProfiling: true,
  profileFilePrefix: join(folder, 'profile'),
  logSeverityLevel: 3,
});

function feed({
  name,
  type,
  shape,
}: {
  name: string;
  type: string;
  shape: readonly (number | string)[];
}): Tensor {
  const dims = shape.map((size, axis) => {
    if (typeof size === 'number') return size;
    if (axis === 0) return ROWS;
    return name === 'sample' ? SIDE : TEXT_TOKENS + Number(imageTokens);
  });
  const count = dims.reduce((product, size) => product * size, 1);
  if (type === 'int64')
    return new Tensor(
      'int64',
      BigInt64Array.from({ length: count }, () => 10n),
      dims,
    );
  return new Tensor(
    'float32',
    Float32Array.from({ length: count }, (_, i) => Math.sin(i)),
    dims,
  );
}

const feeds = Object.fromEntries(
  session.inputMetadata.map((input) => [input.name, feed(input as Parameters<typeof feed>[0])]),
);
const results = await session.run(feeds);
session.endProfiling();
await session.release();

const profile = readdirSync(folder).find((name) => name.startsWith('profile'))!;
const events = JSON.parse(readFileSync(join(folder, profile), 'utf8')) as {
  name: string;
  args?: { provider?: string; output_type_shape?: readonly Readonly<Record<string, unknown>>[] };
}[];
const nodes: Record<string, string[]> = {};
for (const { name, args } of events) {
  if (args?.provider === undefined || !name.endsWith('_kernel_time')) continue;
  // Shapes are whole numbers, and the CPU's on every provider.
  if (!args.output_type_shape?.some((output) => 'float' in output)) continue;
  nodes[args.provider] ??= [];
  nodes[args.provider]!.push(name.replace(/_kernel_time$/, ''));
}
const inputs = Object.fromEntries(
  Object.entries(feeds).map(([name, { dims, data }]) => [
    name,
    { dims, data: Array.from(data as Float32Array, Number) },
  ]),
);
const output = Array.from(Object.values(results)[0]!.data as Float32Array);
console.log(JSON.stringify({ nodes, inputs, output }));
