/** A name of an enum's value: it stands without quotes. */
export interface EnumValue {
  readonly enum: string;
}

/** What a field of a message holds. A list is a repeated field; `null` leaves the field out. */
export type TextValue =
  | string
  | number
  | boolean
  | null
  | EnumValue
  | TextMessage
  | readonly (string | number | EnumValue | TextMessage)[];

/** A message: its fields in the order in which they are written. */
export interface TextMessage {
  readonly [field: string]: TextValue;
}

/** A map of text to messages, which the format has as repeated entries. */
export function mapEntries(entries: readonly (readonly [string, TextMessage | string])[]): TextMessage[] {
  return entries.map(([key, value]) => ({ key, value }));
}

/**
 * A message in protobuf's text format, one field a line.
 *
 * Source: the specification of the text format, https://protobuf.dev/reference/protobuf/textformat-spec/
 */
export function textFormat(message: TextMessage, indent = ''): string {
  return Object.entries(message)
    .map(([name, value]) => field(name, value, indent))
    .join('');
}

function field(name: string, value: TextValue, indent: string): string {
  if (value === null) return '';
  if (Array.isArray(value)) {
    const items = value as readonly (string | number | EnumValue | TextMessage)[];
    if (items.some(isMessage)) return items.map((item) => field(name, item, indent)).join('');
    return `${indent}${name}: [${items.map((item) => scalar(item as string | number | EnumValue)).join(', ')}]\n`;
  }
  if (isMessage(value as TextMessage))
    return `${indent}${name} {\n${textFormat(value as TextMessage, `${indent}  `)}${indent}}\n`;
  return `${indent}${name}: ${scalar(value as string | number | boolean | EnumValue)}\n`;
}

function isMessage(value: TextValue): value is TextMessage {
  return typeof value === 'object' && value !== null && !('enum' in value);
}

function scalar(value: string | number | boolean | EnumValue): string {
  if (typeof value === 'string') return quoted(value);
  return typeof value === 'object' ? value.enum : String(value);
}

/** Quotes, backslashes and control characters are escaped, the latter as three octal digits. */
function quoted(text: string): string {
  const escaped = text.replace(/["\\]|\p{Cc}/gu, (character) =>
    character === '"' || character === '\\'
      ? `\\${character}`
      : [...new TextEncoder().encode(character)]
          .map((byte) => `\\${byte.toString(8).padStart(3, '0')}`)
          .join(''),
  );
  return `"${escaped}"`;
}
