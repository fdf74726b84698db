// Written by runtime/cli/bundle.mjs from template/.

/** Tensors, and how they are held against what a model declares. */
export const TENSOR: string;
/** How a model runs in a session. */
export const SESSION: string;
/** How a model runs on a server. */
export const HTTP: string;
