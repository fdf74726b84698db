import { refusal } from './refuse.js';

/** How deep arrays and objects may lie in each other, as Triton has it. */
const DEEPEST = 100;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The value of a JSON text. A key called `__proto__` is a field like others.
 * @param notJson what is said of what is no JSON; the header that tells its length is to blame where nothing is
 * @throws IpgraftError `SERVER_REQUEST` for what is not JSON in UTF-8 or is deeper than 100 levels
 */
export function parseJson(bytes: Uint8Array, notJson?: string): unknown {
  refuseDepth(bytes);
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw refusal('the JSON of the request is not UTF-8');
  }
  try {
    return JSON.parse(text);
  } catch {
    if (notJson !== undefined) throw refusal(notJson);
    if (/[[,:]\s*-?(NaN|Infinity)\b/.test(text))
      throw refusal('NaN and Infinity are not JSON: send this tensor as binary data (binary_data=True)');
    throw refusal(
      `the request's first ${bytes.length} bytes are not JSON: Inference-Header-Content-Length must say where JSON ends`,
    );
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** From an ordinary letter of a string to the last one before what ends or escapes: long strings are passed over in one go. */
function leap(bytes: Uint8Array, from: number): number {
  const quote = bytes.indexOf(QUOTE, from);
  if (quote === -1) return bytes.length;
  let last = quote - 1;
  while (bytes[last] === BACKSLASH) last--;
  return last;
}

/** Looks at brackets alone, before anything is allocated for them: a body of `[[[[…` would cost forty times its size. */
function refuseDepth(bytes: Uint8Array): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (inString) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) inString = false;
      // Now and then: where strings are short, to look at each letter is quicker.
      else if ((i & 63) === 0) i = leap(bytes, i);
    } else if (byte === QUOTE) inString = true;
    // [ and {, ] and } differ in one bit.
    else if ((byte | 0x20) === 0x7b) {
      if (++depth > DEEPEST) throw refusal(`the JSON of the request is nested deeper than ${DEEPEST} levels`);
    } else if ((byte | 0x20) === 0x7d) depth--;
  }
}
