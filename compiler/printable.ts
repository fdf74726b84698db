const LONGEST_NAME = 200;

/** Text in which nothing is left that a terminal would obey: control characters, changes of writing direction and halves of surrogate pairs become their codes. */
export function visible(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  );
}

/** A name from a hostile file, fit for a message: {@link visible}, and 200 characters at most. */
export function printable(name: string): string {
  return visible(name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME)}…` : name);
}
