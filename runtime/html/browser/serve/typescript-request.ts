import type { Datatype } from '../../../serve/tensor.js';
import { bodyOf, inferUrl, quote, type RequestTo } from './request.js';

/** What reads an output's bytes; those of BYTES are for the reader to take apart. */
const ARRAYS: Readonly<Record<Datatype, string>> = {
  BOOL: 'Uint8Array',
  INT8: 'Int8Array',
  INT16: 'Int16Array',
  INT32: 'Int32Array',
  INT64: 'BigInt64Array',
  UINT8: 'Uint8Array',
  UINT16: 'Uint16Array',
  UINT32: 'Uint32Array',
  UINT64: 'BigUint64Array',
  FP16: 'Uint16Array',
  BF16: 'Uint16Array',
  FP32: 'Float32Array',
  FP64: 'Float64Array',
  BYTES: 'Uint8Array',
};

/** The request as TypeScript with fetch: for Node as it is, and for browsers where the server lets their page ask. */
export function typescriptRequest(request: RequestTo): string {
  const { json, tail, hasBinaryReply } = bodyOf(request);
  const headers = [
    ...(request.hasToken ? [`    Authorization: \`Bearer \${process.env.IPGRAFT_TOKEN}\`,`] : []),
    ...(tail > 0
      ? [
          "    'Content-Type': 'application/octet-stream',",
          `    'Inference-Header-Content-Length': \`\${json.size}\`,`,
        ]
      : ["    'Content-Type': 'application/json',"]),
  ];
  return [
    // A name may be longer in bytes than in characters.
    tail > 0 ? `const json = new Blob([JSON.stringify(${json})]);` : `const json = JSON.stringify(${json});`,
    `const reply = await fetch(${quote(inferUrl(request))}, {`,
    "  method: 'POST',",
    '  headers: {',
    ...headers,
    '  },',
    `  body: ${tail > 0 ? `new Blob([json, new Uint8Array(${tail})])` : 'json'},`,
    '});',
    'if (!reply.ok) throw new Error(await reply.text());',
    ...(hasBinaryReply
      ? readBinary(request)
      : ['const { outputs } = await reply.json();', 'console.log(outputs);']),
  ].join('\n');
}

function readBinary({ outputs }: RequestTo): string[] {
  return [
    'const bytes = await reply.arrayBuffer();',
    "let at = Number(reply.headers.get('Inference-Header-Content-Length') ?? bytes.byteLength);",
    'const { outputs } = JSON.parse(new TextDecoder().decode(bytes.slice(0, at)));',
    'const next = (index: number) => bytes.slice(at, (at += outputs[index].parameters.binary_data_size));',
    ...outputs.map(
      ({ name, datatype }, index) =>
        `console.log({ name: ${quote(name)}, shape: outputs[${index}].shape, data: new ${ARRAYS[datatype]}(next(${index})) });`,
    ),
  ];
}
