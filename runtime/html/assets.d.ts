// Written by runtime/cli/bundle.mjs from style/ and browser/, minified.

/** The style sheet of every report. */
export const STYLE: string;
/** The script of every report. */
export const SCRIPT: string;
/** The style sheet of the page of `ipgraft serve`. */
export const SERVE_STYLE: string;
/** The script of the page of `ipgraft serve`. */
export const SERVE_SCRIPT: string;
