import { byId } from '../elements.js';

/** Where what the server says of a field of a request is shown. */
const PLACES: Readonly<Record<string, string>> = {
  prompt: 'prompt',
  negative_prompt: 'negative',
  negativePrompt: 'negative',
  size: 'size',
  width: 'size',
  height: 'size',
  steps: 'steps',
  seed: 'seed',
  guidance_scale: 'guidance',
  guidance: 'guidance',
  scheduler: 'scheduler',
  n: 'pictures',
  pictures: 'pictures',
  init_image: 'init-image',
  initImage: 'init-image',
  mask: 'mask',
  strength: 'strength',
};

/** The place of a field of a request on the page. */
export function placeOfField(field: string | undefined): string {
  if (field === undefined) return 'all';
  const adapter = /^(?:image_prompts|adapters)\W*(\d+)/.exec(field)?.[1];
  if (adapter !== undefined && document.getElementById(`fault-image_prompts.${adapter}`) !== null)
    return `image_prompts.${adapter}`;
  return PLACES[field] ?? 'all';
}

/** Says what is wrong beside the field that it is about. */
export function showFault(place: string, message: string): void {
  const fault = byId(`fault-${place}`);
  fault.textContent = message;
  fault.hidden = false;
  const fields = document.querySelectorAll<HTMLElement>(`[aria-describedby~="${CSS.escape(fault.id)}"]`);
  for (const field of fields) field.setAttribute('aria-invalid', 'true');
  const folded = fault.closest('details');
  if (folded !== null) folded.open = true;
  if (fields.length === 0) fault.scrollIntoView({ block: 'nearest' });
  else fields[0]!.focus();
}

/** Forgets what was wrong with a field, since it is another now. */
export function clearFaultOf(field: Element): void {
  for (const id of field.getAttribute('aria-describedby')?.split(' ') ?? [])
    if (id.startsWith('fault-')) byId(id).hidden = true;
  field.removeAttribute('aria-invalid');
}

/** Forgets what was wrong. */
export function clearFaults(): void {
  for (const fault of document.querySelectorAll<HTMLElement>('#wish .fault')) fault.hidden = true;
  for (const field of document.querySelectorAll('#wish [aria-invalid]'))
    field.removeAttribute('aria-invalid');
}
