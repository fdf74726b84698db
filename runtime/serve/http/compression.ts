import { promisify } from 'node:util';
import { constants, deflate, gunzip, gzip, inflate } from 'node:zlib';
import { IpgraftError } from '../../../compiler/errors.js';
import { printable } from '../../../compiler/printable.js';

/** The compressions that the protocol's clients know. */
export type Encoding = 'gzip' | 'deflate';

const decoders = { gzip: promisify(gunzip), deflate: promisify(inflate) };
const encoders = { gzip: promisify(gzip), deflate: promisify(deflate) };

/**
 * A body as it was before it was compressed (`Content-Encoding` of a request).
 * @param limit bytes that it may have then
 * @throws IpgraftError `SERVER_ENCODING` for other compressions than gzip and deflate, `SERVER_TOO_LARGE`, `SERVER_REQUEST` for damaged data
 */
export async function decompress(body: Buffer, encoding: string | undefined, limit: number): Promise<Buffer> {
  const name = encoding?.trim().toLowerCase();
  if (name === undefined || name === '' || name === 'identity') return body;
  if (name !== 'gzip' && name !== 'deflate')
    throw new IpgraftError(
      'SERVER_ENCODING',
      `Content-Encoding: sought gzip or deflate, found ${printable(name)}`,
    );
  try {
    return await decoders[name](body, { maxOutputLength: limit });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new IpgraftError(
        'SERVER_TOO_LARGE',
        `the decompressed body exceeds the maximum allowed, ${limit} bytes`,
      );
    throw new IpgraftError(
      'SERVER_REQUEST',
      `the body is not ${name}, as Content-Encoding says`,
      {},
      { cause },
    );
  }
}

/** A reply compressed. Quick rather than small: most of it is noise, and the network is near. */
export function compress(body: Buffer, encoding: Encoding): Promise<Buffer> {
  return encoders[encoding](body, { level: constants.Z_BEST_SPEED });
}

/**
 * The compression that a client asks for with `Accept-Encoding`, by its q-values, gzip before deflate; `undefined` for none. Others, br
 * among them, are never chosen: clients ask for them that cannot read them.
 */
export function chooseEncoding(accept: string | undefined): Encoding | undefined {
  const wanted = new Map<string, number>();
  for (const part of (accept ?? '').toLowerCase().split(',')) {
    const [name = '', ...parameters] = part.split(';').map((each) => each.trim());
    const q = parameters.find((each) => each.startsWith('q='));
    wanted.set(name, q === undefined ? 1 : Number(q.slice(2)) || 0);
  }
  const weight = (name: string) => wanted.get(name) ?? wanted.get('*') ?? 0;
  const best = weight('deflate') > weight('gzip') ? 'deflate' : 'gzip';
  return weight(best) > 0 && weight(best) >= (wanted.get('identity') ?? 0) ? best : undefined;
}
