// Written by runtime/cli/bundle.mjs from style/ and browser/, minified.

/** The style sheet of every report. */
export const STYLE: string;
/** The script of every report. */
export const SCRIPT: string;
/** The style sheet of the page of models. */
export const SERVE_STYLE: string;
/** The script of the page of models. */
export const SERVE_SCRIPT: string;
/** The style sheet of the page of pictures. */
export const PICTURES_STYLE: string;
/** The script of the page of pictures. */
export const PICTURES_SCRIPT: string;
