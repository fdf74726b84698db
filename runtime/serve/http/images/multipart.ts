import type { FastifyInstance, FastifyRequest } from 'fastify';
import { IpgraftError } from '../../../../compiler/errors.js';
import { printable } from '../../../../compiler/printable.js';
import type { ImageFiles } from '../../pictures/generation-request.js';

/** What a form may have, beside bytes. */
const MOST = { fields: 64, files: 64, parts: 128, headerPairs: 16, fieldNameSize: 100 } as const;

/** Fields that are no texts. */
const NUMBERS: readonly string[] = [
  'n',
  'steps',
  'guidance_scale',
  'guidance_rescale',
  'seed',
  'start',
  'end',
  'strength',
  'output_compression',
  'partial_images',
];
const JSONS: readonly string[] = ['image_prompts', 'scale', 'stream', 'previews'];

/** A body as JSON has it, and the files that came with it. */
export interface Form {
  readonly value: unknown;
  readonly files: ImageFiles;
}

/** Lets the routes of `app` take forms, which are read by {@link readForm} alone. */
export async function takeForms(app: FastifyInstance): Promise<void> {
  const { default: multipart } = await import('@fastify/multipart');
  await app.register(multipart);
}

/**
 * Reads a form, nothing of which is written anywhere.
 * @param limit bytes that all of it may have
 * @throws IpgraftError `SERVER_TOO_LARGE`, `SERVER_ENCODING` for one that is compressed, `PIPELINE_REQUEST` for fields that come twice and files in
 *   fields that take none, `SERVER_REQUEST`; and the parser's own, which have a status
 */
export async function readForm(request: FastifyRequest, limit: number): Promise<Form> {
  const { 'content-length': length, 'content-encoding': encoding } = request.headers;
  if (Number(length) > limit) throw tooLarge(limit);
  if (encoding !== undefined && encoding !== 'identity')
    throw new IpgraftError(
      'SERVER_ENCODING',
      'Content-Encoding: forms are taken as they are, not compressed',
    );
  const value = new Map<string, unknown>();
  const prompts: Uint8Array[] = [];
  const files: { -readonly [Field in keyof ImageFiles]: ImageFiles[Field] } = { image_prompts: prompts };
  let bytes = 0;
  const count = (more: number) => {
    bytes += more;
    if (bytes > limit) throw tooLarge(limit);
  };
  const limits = { ...MOST, fieldSize: limit, fileSize: limit };
  for await (const part of whole(request.parts({ limits }))) {
    const name = part.fieldname.replace(/\[\]$/, '');
    if (part.type === 'field') {
      if (value.has(name)) throw refusal(name, 'it came twice');
      count(String(part.value).length);
      value.set(name, meant(name, String(part.value)));
      continue;
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of part.file as AsyncIterable<Uint8Array>) {
      count(chunk.length);
      chunks.push(chunk);
    }
    const file = Buffer.concat(chunks);
    if (name === 'image_prompts') prompts.push(file);
    else if (name !== 'init_image' && name !== 'mask') throw refusal(name, 'it takes no file');
    else if (files[name] !== undefined) throw refusal(name, 'it came twice');
    else files[name] = file;
  }
  return { value: Object.fromEntries(value), files };
}

/** The parts, with an end that the client is to blame for told so. */
async function* whole<Part>(parts: AsyncIterable<Part>): AsyncGenerator<Part> {
  try {
    yield* parts;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== undefined) throw error;
    throw new IpgraftError('SERVER_REQUEST', 'the form is damaged, or cut off', {}, { cause: error });
  }
}

/** What a text stands for; what cannot be read stays a text, and is refused as one. */
function meant(name: string, text: string): unknown {
  if (NUMBERS.includes(name))
    return /^\s*[-+.\d]/.test(text) && !Number.isNaN(Number(text)) ? Number(text) : text;
  if (!JSONS.includes(name)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function tooLarge(limit: number): IpgraftError {
  return new IpgraftError('SERVER_TOO_LARGE', `the form exceeds the maximum allowed, ${limit} bytes`);
}

function refusal(field: string, why: string): IpgraftError {
  const name = printable(field);
  return new IpgraftError('PIPELINE_REQUEST', `${name}: ${why}`, { field: name });
}
