import { type AnyTensor, ARRAYS, ClientError, type Declarations, type Elements, type Run } from './tensor.js';

/** Where a server has the model, and how to ask it. */
export interface HttpOptions {
  /** Of the server, without `/v2`: `http://127.0.0.1:8000`. */
  readonly url: string | URL;
  /** The server’s name of the model. */
  readonly model: string;
  /** Default: the server chooses. */
  readonly version?: string;
  /** Sent as `Authorization: Bearer TOKEN`. */
  readonly token?: string;
  /** Milliseconds until an answer must be there. Default: no limit but fetch’s own. */
  readonly timeout?: number;
}

const DATATYPES = {
  float32: 'FP32',
  float64: 'FP64',
  float16: 'FP16',
  bfloat16: 'BF16',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  bool: 'BOOL',
  string: 'BYTES',
} as const satisfies Record<keyof Elements, string>;

const HEADER_LENGTH = 'inference-header-content-length';

/** Runs a model on a server: Open Inference Protocol, version 2, with the binary tensor extension. */
export function runOverHttp(model: Declarations, options: HttpOptions): Run {
  const { url, model: name, version, token, timeout } = options;
  const versioned = version === undefined ? '' : `/versions/${encodeURIComponent(version)}`;
  const address = `${String(url).replace(/\/+$/, '')}/v2/models/${encodeURIComponent(name)}${versioned}/infer`;
  return async (inputs, outputs, signal) => {
    const { json, body } = writeRequest(inputs, outputs);
    const headers = {
      'content-type': 'application/octet-stream',
      [HEADER_LENGTH]: String(json),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    };
    const ends: AbortSignal[] = [];
    if (signal !== undefined) ends.push(signal);
    if (timeout !== undefined) ends.push(AbortSignal.timeout(timeout));
    let response: Response;
    let answer: ArrayBuffer;
    try {
      response = await fetch(address, { method: 'POST', headers, body, signal: AbortSignal.any(ends) });
      answer = await response.arrayBuffer();
    } catch (cause) {
      signal?.throwIfAborted();
      if (ends.some(({ aborted }) => aborted))
        throw new ClientError('TIMEOUT', `no answer within ${timeout} ms`, { cause });
      throw new ClientError('UNREACHABLE', `${address} cannot be reached`, { cause });
    }
    const { status } = response;
    if (!response.ok)
      throw new ClientError('REFUSED', refusalIn(answer) ?? `the server answered ${status}`, { status });
    const length = response.headers.get(HEADER_LENGTH);
    try {
      return readReply(model, answer, length === null ? answer.byteLength : Number(length));
    } catch (cause) {
      if (cause instanceof ClientError) throw cause;
      throw new ClientError('OUTPUT', 'the answer is no reply to an infer request', { status, cause });
    }
  };
}

/** The body of a request, and how many bytes of it are JSON. */
function writeRequest(inputs: ReadonlyMap<string, AnyTensor>, outputs: readonly string[]) {
  const tails: Uint8Array[] = [];
  const described = [...inputs].map(([name, { type, shape, data }]) => {
    const bytes = bytesOf(data);
    tails.push(bytes);
    // Servers that know no scalar take [1] for one, and those that do take it too.
    const sent = shape.length === 0 ? [1] : shape;
    const parameters = { binary_data_size: bytes.length };
    return { name, datatype: DATATYPES[type], shape: sent, parameters };
  });
  const wanted = outputs.map((name) => ({ name, parameters: { binary_data: true } }));
  const json = new TextEncoder().encode(JSON.stringify({ inputs: described, outputs: wanted }));
  return { json: json.length, body: joined([json, ...tails]) };
}

function bytesOf(data: AnyTensor['data']): Uint8Array {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return joined(
    data.flatMap((text) => {
      const bytes = new TextEncoder().encode(text);
      const length = new Uint8Array(4);
      new DataView(length.buffer).setUint32(0, bytes.length, true);
      return [length, bytes];
    }),
  );
}

function joined(parts: readonly Uint8Array[]) {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What the server says is wrong, where it says it as the protocol has it. */
function refusalIn(answer: ArrayBuffer): string | undefined {
  try {
    const { error } = JSON.parse(new TextDecoder().decode(answer)) as { readonly error?: unknown };
    return typeof error === 'string' ? error : undefined;
  } catch {
    return undefined;
  }
}

interface Described {
  readonly name: string;
  readonly datatype: string;
  readonly shape: number[];
  readonly parameters?: { readonly binary_data_size?: number };
}

function readReply({ outputs }: Declarations, answer: ArrayBuffer, length: number): Map<string, AnyTensor> {
  const json = new TextDecoder().decode(new Uint8Array(answer, 0, length));
  const reply = JSON.parse(json) as { readonly outputs: readonly Described[] };
  const found = new Map<string, AnyTensor>();
  let at = length;
  for (const { name, datatype, shape, parameters } of reply.outputs) {
    const size = parameters?.binary_data_size;
    const declared = outputs.find((output) => output.name === name);
    const is = `output ${JSON.stringify(name)}: the server gave`;
    if (size === undefined) throw new ClientError('OUTPUT', `${is} JSON where binary data was asked for`);
    if (declared === undefined) throw new ClientError('OUTPUT', `${is} what the model does not have`);
    const { type } = declared;
    if (datatype !== DATATYPES[type])
      throw new ClientError('OUTPUT', `${is} ${datatype}, not ${DATATYPES[type]}`);
    // A copy: its elements lie where an array of their type may begin.
    const bytes = answer.slice(at, at + size);
    if (bytes.byteLength !== size) throw new ClientError('OUTPUT', `${is} fewer bytes than it said`);
    at += size;
    const isScalar = declared.shape?.length === 0 && shape.length === 1 && shape[0] === 1;
    const data = type === 'string' ? stringsIn(bytes) : new ARRAYS[type](bytes);
    found.set(name, { type, shape: isScalar ? [] : shape, data });
  }
  return found;
}

function stringsIn(bytes: ArrayBuffer): string[] {
  const view = new DataView(bytes);
  const strings: string[] = [];
  for (let at = 0; at < bytes.byteLength; ) {
    const length = view.getUint32(at, true);
    strings.push(new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array(bytes, at + 4, length)));
    at += 4 + length;
  }
  return strings;
}
