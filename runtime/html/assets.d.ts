// Written by runtime/cli/bundle.mjs from style/ and browser/, minified.

/** The style sheet of every report. */
export const STYLE: string;
/** The script of every report. */
export const SCRIPT: string;
