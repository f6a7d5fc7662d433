// A word-level tokenizer as the two files that Hugging Face's tokenizers read: a token is a word
// with the space before it, or a mark, so that texts come back from their tokens to the character.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonObject } from '../checkpoint/json.js';

const [begin, end, unknown] = ['<s>', '</s>', '<unk>'];
const specials = [begin, end, unknown] as const;
const marks = ['\n', ' ', '.', ',', '!', '?', ':'] as const;

export interface TokenizerFiles {
  /** Tokens, special ones included. */
  readonly size: number;
  /** tokenizer.json */
  readonly definition: JsonObject;
  /** tokenizer_config.json */
  readonly config: JsonObject;
}

export interface TokenizerWords {
  /** Words inside a line; each stands after a space. */
  readonly words: Iterable<string>;
  /** Words that begin a line. */
  readonly lineStarts: Iterable<string>;
}

const added = (content: string, id: number) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

const sequence = (id: 'A' | 'B', type: number) => ({ Sequence: { id, type_id: type } });
const special = (id: string, type: number) => ({ SpecialToken: { id, type_id: type } });

/** Ids: 0 begins a text, 1 ends it, 2 is for unknown words; then marks, then words in order. */
export const wordTokenizer = ({ words, lineStarts }: TokenizerWords): TokenizerFiles => {
  const inside = [...new Set(words)].map((word) => ` ${word}`).sort();
  const tokens = [...specials, ...marks, ...[...new Set(lineStarts)].sort(), ...inside];
  const definition = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.map(added),
    normalizer: null,
    pre_tokenizer: {
      type: 'Split',
      pattern: { Regex: " ?[A-Za-z']+|[^A-Za-z']" },
      behavior: 'Isolated',
      invert: false,
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [special(begin, 0), sequence('A', 0)],
      pair: [special(begin, 0), sequence('A', 0), special(begin, 1), sequence('B', 1)],
      special_tokens: { [begin]: { id: begin, ids: [0], tokens: [begin] } },
    },
    decoder: { type: 'Fuse' },
    model: {
      type: 'WordLevel',
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      unk_token: unknown,
    },
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: begin,
    eos_token: end,
    unk_token: unknown,
    clean_up_tokenization_spaces: false,
  };
  return { size: tokens.length, definition, config };
};

/** Writes tokenizer.json and tokenizer_config.json into the folder, which is made if need be. */
export const writeTokenizer = async (folder: string, files: TokenizerFiles): Promise<void> => {
  await mkdir(folder, { recursive: true });
  const text = (value: JsonObject): string => `${JSON.stringify(value, null, 1)}\n`;
  await writeFile(join(folder, 'tokenizer.json'), text(files.definition));
  await writeFile(join(folder, 'tokenizer_config.json'), text(files.config));
};
