const MAX_LENGTH = 200;

/**
 * Text from a hostile file, fit for a message: at most 200 characters, and nothing that a terminal would obey
 * (control characters, changes of writing direction, halves of surrogate pairs) but its code in its place.
 */
export function printable(text: string): string {
  const cut = text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text;
  return cut.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}
