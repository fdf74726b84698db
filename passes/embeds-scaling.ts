/** What the scale is applied to: ComfyUI's “V only”, “K+V”, “K+V w/ C penalty” and “K+mean(V) w/ C penalty”. */
export const EMBEDS_SCALINGS = ['v', 'k+v', 'k+v-penalty', 'k+mean-v-penalty'] as const;
export type EmbedsScaling = (typeof EMBEDS_SCALINGS)[number];
