const HEX = 16;

/** Text in which whatever is `unfit` is written as its code. */
function escaped(text: string, unfit: RegExp): string {
  return text.replace(unfit, (unit) => `\\u${unit.charCodeAt(0).toString(HEX).padStart(4, '0')}`);
}

/** A string literal of TypeScript, in ASCII. */
export function literal(text: string): string {
  return `'${escaped(text.replace(/[\\']/g, '\\$&'), /[^\x20-\x7e]/g)}'`;
}

/** A name as a property of a type or an object: bare where that says the same. */
export function propertyName(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) && name !== '__proto__' ? name : literal(name);
}

/** A text from a model as part of one line of a comment: it ends no comment and begins no tag. */
export function inComment(text: string): string {
  return escaped(text, /[^\x20-\x7e]|[@{}`\\]|(?<=\*)\//g);
}
