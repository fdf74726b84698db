/** What a folder without `tokenizer.json` has: CLIP's vocabulary and merges. */
export interface Vocabulary {
  readonly vocab: Readonly<Record<string, number>>;
  /** Lines of `merges.txt`: pairs, best first, behind a line with the version. */
  readonly merges: string;
}

/** Names of the tokens at the ends of a prompt. */
export interface EndTokens {
  readonly bos: string;
  readonly eos: string;
  readonly unk: string;
}

/**
 * `tokenizer.json` of a CLIP tokenizer that has only `vocab.json` and `merges.txt`, as transformers' `CLIPConverter`
 * (`convert_slow_tokenizer.py`) makes it: NFC, white space as one space, lower case; words, single digits and runs of signs as bytes; byte
 * pairs with `</w>` at the end of a word; the end tokens around all.
 */
export function clipDefinition({ vocab, merges }: Vocabulary, { bos, eos, unk }: EndTokens): object {
  const special = [...new Set([bos, eos, unk])].map((content) => ({
    id: vocab[content],
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special,
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFC' },
        { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split',
          pattern: { Regex: "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+" },
          behavior: 'Removed',
          invert: true,
        },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: {
      type: 'RobertaProcessing',
      sep: [eos, vocab[eos]],
      cls: [bos, vocab[bos]],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: unk,
      continuing_subword_prefix: '',
      end_of_word_suffix: '</w>',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: mergesIn(merges),
    },
  };
}

function mergesIn(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('#version'));
}
