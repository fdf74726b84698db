import type { IpgraftError } from '../compiler/errors.js';
import { PARTS, type Part, type PlacedAttention } from './checkpoint-order.js';

/** Makes the error for a scale that cannot be meant. */
type Refuse = (why: string) => IpgraftError;

/**
 * The scale of each cross-attention, by its id, that diffusers gives for one entry of `set_ip_adapter_scale`: a number for all, or a
 * dictionary with `down`, `up` (a number, or per block a number or a list with a number per attention) and `mid` (a number
 * or a list of one). What is not mentioned is 0. All transformer blocks of an attention share its scale.
 *
 * Source: `_maybe_expand_lora_scales_for_one_adapter` in diffusers' loaders/unet_loader_utils.py, which `set_ip_adapter_scale` calls.
 * Unlike there, a block without cross-attentions is refused, not ignored: it is a slip.
 * @throws IpgraftError that `refuse` makes
 */
export function expandDiffusersScale(
  entry: unknown,
  attentions: readonly PlacedAttention[],
  refuse: Refuse,
): Map<number, number> {
  if (isScale(entry)) return new Map(attentions.map(({ id }) => [id, entry]));
  if (!isDictionary(entry)) throw refuse('sought a number or a dictionary with down, mid and up');
  const unknown = Object.keys(entry).find((key) => !(PARTS as readonly string[]).includes(key));
  if (unknown !== undefined) throw refuse(`sought down, mid and up, found ${unknown}`);
  const scales = new Map<number, number>();
  for (const part of PARTS) {
    const inPart = attentions.filter(({ place }) => place.part === part);
    if (entry[part] !== undefined) expandPart(entry[part], part, inPart, scales, refuse);
  }
  return scales;
}

function expandPart(
  value: unknown,
  part: Part,
  attentions: readonly PlacedAttention[],
  scales: Map<number, number>,
  refuse: Refuse,
): void {
  if (isScale(value)) {
    for (const { id } of attentions) scales.set(id, value);
  } else if (part === 'mid') {
    expandBlock(value, 'mid', attentions, 0, scales, refuse);
  } else {
    if (!isDictionary(value)) throw refuse(`${part}: sought a number or a dictionary of blocks`);
    if (attentions.some(({ place }) => place.numbers.length < 2))
      throw refuse(`${part}: sought a number: the model has no names that tell its blocks`);
    for (const [name, block] of Object.entries(value)) {
      const number = /^block_(\d+)$/.exec(name)?.[1];
      const inBlock = attentions.filter(({ place }) => place.numbers[0] === Number(number));
      if (inBlock.length === 0) {
        const blocks = [...new Set(attentions.map(({ place }) => `block_${place.numbers[0]}`))];
        throw refuse(`${part} has cross-attentions in ${blocks.join(', ')}, not in ${name}`);
      }
      expandBlock(block, `${part}.${name}`, inBlock, 1, scales, refuse);
    }
  }
}

/** `attentionNumber`: which number of a place tells the attention within its block. */
function expandBlock(
  value: unknown,
  name: string,
  attentions: readonly PlacedAttention[],
  attentionNumber: number,
  scales: Map<number, number>,
  refuse: Refuse,
): void {
  const within = [...new Set(attentions.map(({ place }) => place.numbers[attentionNumber]))];
  const list = isScale(value) ? within.map(() => value) : value;
  if (!Array.isArray(list) || !list.every(isScale)) {
    throw refuse(`${name}: sought a number or a list of numbers`);
  }
  const each = list.length === 1 ? within.map(() => list[0] as number) : list;
  if (each.length !== within.length)
    throw refuse(`${name} has ${within.length} attentions, the list has ${each.length} numbers`);
  for (const { id, place } of attentions)
    scales.set(id, each[within.indexOf(place.numbers[attentionNumber])]!);
}

/** JSON has no infinity, but 1e999 reads as one. */
function isScale(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isDictionary(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
