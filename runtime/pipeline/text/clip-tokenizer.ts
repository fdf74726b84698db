import type { Tokenizer } from '@huggingface/tokenizers';
import * as z from 'zod/mini';
import { IpgraftError } from '../../../compiler/errors.js';
import { clipDefinition } from './tokenizer-definition.js';

/** The files of a tokenizer's folder that say what it is. */
export interface TokenizerFiles {
  /** `tokenizer_config.json`. */
  readonly config?: unknown;
  /** `special_tokens_map.json`. */
  readonly specialTokens?: unknown;
  /** `tokenizer.json`; without it `vocab` and `merges` are needed. */
  readonly definition?: unknown;
  /** `vocab.json`. */
  readonly vocab?: unknown;
  /** `merges.txt`. */
  readonly merges?: string;
}

/** A prompt in tokens. */
export interface Tokenized {
  /** As many as the encoder reads: the end tokens and padding among them. */
  readonly ids: readonly number[];
  /** What of the prompt the encoder cannot read any more; empty where it reads all. */
  readonly cut: string;
}

/** CLIP's tokenizer, with the padding and the length of its folder. */
export interface ClipTokenizer {
  /** How many tokens a prompt has: 77. */
  readonly length: number;
  encode(prompt: string): Tokenized;
}

/** A token as its text, or as an object that has it. */
const token = z.union([z.string(), z.object({ content: z.string() })]);
const optionalToken = z.optional(z.nullable(token));

const configSchema = z.object({
  /** Exports of today write 10³⁰ where there is no limit. */
  model_max_length: z.optional(z.nullable(z.number())),
  bos_token: optionalToken,
  eos_token: optionalToken,
  unk_token: optionalToken,
  pad_token: optionalToken,
});

const vocabSchema = z.record(z.string(), z.int().check(z.nonnegative()));

/** CLIP's text encoders have this many positions. */
const CLIP_LENGTH = 77;

/**
 * Makes CLIP's tokenizer of the files in its folder. Prompts that are too long are cut, all others padded with the folder's own pad token:
 * the end token in SD1.x and SDXL's first tokenizer, `!` (0) in SD2 and SDXL's second.
 * @throws IpgraftError `PIPELINE_TOKENIZER`
 */
export async function clipTokenizer(files: TokenizerFiles, folder: string): Promise<ClipTokenizer> {
  const config = { ...parsed(files.specialTokens, folder), ...parsed(files.config, folder) };
  const bos = textOf(config.bos_token) ?? '<|startoftext|>';
  const eos = textOf(config.eos_token) ?? '<|endoftext|>';
  const pad = textOf(config.pad_token) ?? eos;
  const definition =
    files.definition ?? definitionOf(files, { bos, eos, unk: textOf(config.unk_token) ?? eos }, folder);
  const { Tokenizer } = await import('@huggingface/tokenizers');
  const tokenizer = made(() => new Tokenizer(withRustSpace(definition), {}), folder);
  const idOf = (text: string): number => {
    const id = tokenizer.token_to_id(text);
    if (id !== undefined) return id;
    throw refusal(folder, `the token ${text}`, 'none in its vocabulary');
  };
  const [first, last, padding] = [idOf(bos), idOf(eos), idOf(pad)];
  const length = Math.min(config.model_max_length ?? CLIP_LENGTH, CLIP_LENGTH);
  return {
    length,
    encode(prompt) {
      const words = tokenizer.encode(prompt, { add_special_tokens: false }).ids;
      const kept = words.slice(0, length - 2);
      const ids = [first, ...kept, last];
      while (ids.length < length) ids.push(padding);
      const rest = words.slice(length - 2);
      const cut = rest.length === 0 ? '' : tokenizer.decode(rest);
      return { ids, cut: cut.replaceAll('</w>', ' ').trim() };
    },
  };
}

function definitionOf(
  { vocab, merges }: TokenizerFiles,
  ends: { readonly bos: string; readonly eos: string; readonly unk: string },
  folder: string,
): object {
  const found = vocabSchema.safeParse(vocab);
  if (!found.success || merges === undefined)
    throw refusal(folder, 'tokenizer.json, or vocab.json and merges.txt', 'neither');
  return clipDefinition({ vocab: found.data, merges }, ends);
}

function parsed(json: unknown, folder: string): z.infer<typeof configSchema> {
  const found = configSchema.safeParse(json ?? {});
  if (found.success)
    return Object.fromEntries(Object.entries(found.data).filter(([, value]) => value != null));
  const [first] = found.error.issues;
  throw refusal(folder, `another ${first!.path.join('.')}`, first!.message);
}

/**
 * Regular expressions of a definition are Rust's: there a BOM is no white space, and the control character NEL is; in JavaScript it is the other
 * way. The expression inside of ByteLevel finds nothing more to split in what CLIP's own one leaves, but by that difference.
 */
function withRustSpace(definition: unknown): object {
  const translated = (key: string, value: unknown) => {
    if (key === 'use_regex') return false;
    return key === 'Regex' && typeof value === 'string' ? value.replaceAll('\\s', '\\p{White_Space}') : value;
  };
  return JSON.parse(JSON.stringify(definition, translated)) as object;
}

function textOf(value: z.infer<typeof optionalToken>): string | undefined {
  return typeof value === 'object' ? value?.content : value;
}

function made(make: () => Tokenizer, folder: string): Tokenizer {
  try {
    return make();
  } catch (cause) {
    throw refusal(folder, 'a tokenizer of Hugging Face', (cause as Error).message, cause);
  }
}

function refusal(folder: string, sought: string, found: string, cause?: unknown): IpgraftError {
  return new IpgraftError(
    'PIPELINE_TOKENIZER',
    `${folder}: sought ${sought}, found ${found}`,
    { folder, sought, found },
    cause === undefined ? {} : { cause },
  );
}
