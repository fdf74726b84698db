import { IpgraftError } from '../../../compiler/errors.js';

/** What comes before base64 in a URL that holds its image itself. */
const DATA_URL = /^data:[\w.+-]*\/?[\w.+-]*;base64,/i;

/**
 * The bytes of an image that came as base64, or as a `data:` URL with it. Other URLs are never fetched: whoever asks could reach with the server's
 * hand what only the server reaches.
 * @throws IpgraftError `PIPELINE_IMAGE`
 */
export function imageBytes(text: string, field: string): Uint8Array {
  const start = DATA_URL.exec(text.slice(0, 200))?.[0].length ?? 0;
  if (start === 0 && /^[a-z][a-z0-9+.-]*:/i.test(text.slice(0, 200)))
    throw refusal(field, 'found a URL: images are not fetched, send them as base64');
  const padding = /={0,2}$/.exec(text.slice(-2))![0].length;
  const bytes = Buffer.from(text.slice(start), 'base64');
  // Letters that are not base64's are passed over by the decoder: bytes are missing then.
  if (bytes.length === 0 || bytes.length !== Math.floor(((text.length - start - padding) * 3) / 4))
    throw refusal(field, 'it is not base64');
  return bytes;
}

function refusal(field: string, why: string): IpgraftError {
  return new IpgraftError('PIPELINE_IMAGE', `${field}: ${why}`, { field });
}
