import { IpgraftError } from '../../../compiler/errors.js';
import type { Values } from '../../session/session.js';
import type { ComponentModel, RunOptions } from '../component-model.js';
import { requiredLastButOne } from '../hidden-states.js';
import type { Pipeline } from '../pipeline.js';
import { runComponent } from '../run-component.js';

/** A prompt as the UNet reads it. */
export interface PromptEmbeds {
  /** [1, tokens, C]. */
  readonly states: Values;
  /** SDXL's pooled embedding [1, P]; `null` elsewhere. */
  readonly pooled: Values | null;
  /** What of the prompt was too long to be read; empty where all was. */
  readonly cut: string;
}

/**
 * Encodes a prompt as diffusers' `encode_prompt`: SD takes the last hidden states of its encoder, SDXL the last but one of both side by side,
 * and the second encoder's `text_embeds`.
 * @throws IpgraftError `PIPELINE_COMPONENT`, and as the encoders do
 */
export async function encodePrompt(
  pipeline: Pipeline,
  prompt: string,
  options: RunOptions = {},
): Promise<PromptEmbeds> {
  const states: Values[] = [];
  let pooled: Values | null = null;
  let cut = '';
  for (const [index, tokenizer] of pipeline.tokenizers.entries()) {
    const encoder = await pipeline.models.load(index === 0 ? 'text_encoder' : 'text_encoder_2');
    const tokenized = tokenizer.encode(prompt);
    cut ||= tokenized.cut;
    const wanted = wantedOf(encoder, pipeline.kind, index);
    const outputs = await runComponent(encoder, feedsOf(encoder, tokenized.ids), {
      ...options,
      outputs: Object.values(wanted),
    });
    states.push(outputs.get(wanted.states)!);
    if (wanted.pooled !== undefined) pooled = outputs.get(wanted.pooled)!;
  }
  return { states: sideBySide(states), pooled, cut };
}

/** Zeros in the shape of a prompt: what SDXL reads where there is no negative prompt. */
export function zerosLike({ states, pooled }: PromptEmbeds): PromptEmbeds {
  const zeros = ({ dims, data }: Values): Values => ({ dims, data: new Float32Array(data.length) });
  return { states: zeros(states), pooled: pooled && zeros(pooled), cut: '' };
}

/** Names of the outputs that are needed. */
function wantedOf(
  encoder: ComponentModel,
  kind: Pipeline['kind'],
  index: number,
): { readonly states: string; readonly pooled?: string } {
  const names = encoder.outputs.map(({ name }) => name);
  if (kind === 'sd') {
    const states = names.includes('last_hidden_state') ? 'last_hidden_state' : names[0]!;
    return { states };
  }
  const states = requiredLastButOne(names, 'text encoder');
  if (index === 0) return { states };
  if (names.includes('text_embeds')) return { states, pooled: 'text_embeds' };
  throw new IpgraftError(
    'PIPELINE_COMPONENT',
    `text_encoder_2: sought the output text_embeds, found ${names.join(', ')}`,
    {
      component: 'text_encoder_2',
      found: names,
    },
  );
}

function feedsOf({ inputs }: ComponentModel, ids: readonly number[]): Record<string, Values> {
  const dims = [1, ids.length];
  const feeds = { input_ids: { dims, data: Float32Array.from(ids) } };
  // Padding is text like any other to these encoders: diffusers passes no mask.
  if (!inputs.some(({ name }) => name === 'attention_mask')) return feeds;
  return { ...feeds, attention_mask: { dims, data: new Float32Array(ids.length).fill(1) } };
}

/** [1, L, C₁] and [1, L, C₂] → [1, L, C₁ + C₂]. */
function sideBySide(parts: readonly Values[]): Values {
  if (parts.length === 1) return parts[0]!;
  const length = parts[0]!.dims[1]!;
  const width = parts.reduce((sum, { dims }) => sum + dims[2]!, 0);
  const data = new Float32Array(length * width);
  let begin = 0;
  for (const { dims, data: part } of parts) {
    const own = dims[2]!;
    for (let token = 0; token < length; token++)
      data.set(part.subarray(token * own, (token + 1) * own), token * width + begin);
    begin += own;
  }
  return { dims: [1, length, width], data };
}
