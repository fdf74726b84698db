import { status as CODES, Metadata, type StatusObject } from '@grpc/grpc-js';
import { IpgraftError } from '../../../compiler/errors.js';
import { toldOf } from '../error-status.js';

/** Bytes of a message as it travels: clients take 8 KiB of metadata. */
const LONGEST = 4000;

/**
 * How a call ends that fails: with the text that HTTP would answer, and with the seconds after which the client may ask again.
 * @param retryAfter where the error does not say
 */
export function statusOf(error: unknown, id: string, retryAfter?: number): StatusObject {
  const { status, text } = toldOf(error, id);
  const metadata = new Metadata();
  const told = error instanceof IpgraftError ? error.facts.retryAfter : undefined;
  const seconds = typeof told === 'number' ? told : retryAfter;
  if (seconds !== undefined) {
    metadata.set('retry-after', String(seconds));
    // What gRPC's own retries go by.
    metadata.set('grpc-retry-pushback-ms', String(seconds * 1000));
  }
  return { code: CODES[status.grpc], details: shortened(text), metadata };
}

function shortened(text: string): string {
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    bytes += encodeURI(character).length;
    if (bytes > LONGEST) return `${text.slice(0, end)}…`;
    end += character.length;
  }
  return text;
}
