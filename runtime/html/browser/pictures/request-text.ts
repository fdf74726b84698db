import { quote } from '../serve/request.js';
import type { CommandFor } from './cli-command.js';
import { requestBody } from './request-body.js';

/** Where pictures are asked for. */
export function generationsUrl({ base }: CommandFor): string {
  return `${base}v1/images/generations`;
}

/** How the body of a request is written in a language. */
export interface BodyWriter {
  /** What stands in the place of an image, by its file's name. */
  image(name: string): string;
  /** Takes JSON's text as it is to be written. */
  text(json: string): string;
}

/** The body of the request in printable ASCII, a field a line. */
export function requestText({ wish, pipeline }: CommandFor, { image, text }: BodyWriter): string {
  const names: string[] = [];
  // No prompt has control characters in it.
  const body = requestBody(wish, pipeline, ({ name }) => `\u0001${names.push(name) - 1}\u0001`);
  const lines = Object.entries(body).map(([key, value]) => `  ${quote(key)}: ${quote(value)}`);
  return `{\n${lines.join(',\n')}\n}`
    .split(/"\\u0001(\d+)\\u0001"/)
    .map((part, i) => (i % 2 === 1 ? image(names[Number(part)]!) : text(part)))
    .join('');
}
