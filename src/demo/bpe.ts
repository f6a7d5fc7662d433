// A byte-level BPE tokenizer learnt from a text (Sennrich et al. 2016), written as the two files
// that Hugging Face's tokenizers read.
import type { JsonObject } from '../checkpoint/json.js';

/** Begins and ends each text; its id is 0. */
export const endOfText = '<|endoftext|>';

/** How the ByteLevel pre-tokenizer of the tokenizers library cuts a text into words. */
const words = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** A printable character for each byte: its own where it has one, else one from 256 up. */
const byteCharacters: readonly string[] = (() => {
  const isPrintable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 255 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(isPrintable(byte) ? byte : next++),
  );
})();

interface Word {
  symbols: string[];
  readonly count: number;
}

const countWords = (text: string): Word[] => {
  const counts = new Map<string, number>();
  for (const [word] of text.matchAll(words)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const toSymbols = (word: string): string[] =>
    Array.from(Buffer.from(word, 'utf8'), (byte) => byteCharacters[byte] ?? '');
  return Array.from(counts, ([word, count]) => ({ symbols: toSymbols(word), count }));
};

/** The most frequent pair of neighbours, as "left right"; of several the first in order. */
const mostFrequentPair = (list: readonly Word[]): string | undefined => {
  const counts = new Map<string, number>();
  for (const { symbols, count } of list) {
    for (let i = 1; i < symbols.length; i += 1) {
      const pair = `${symbols[i - 1] ?? ''} ${symbols[i] ?? ''}`;
      counts.set(pair, (counts.get(pair) ?? 0) + count);
    }
  }
  let best: string | undefined;
  let most = 1; // a pair that occurs once teaches nothing
  for (const [pair, count] of counts) {
    if (count < most || count === 1) continue;
    if (count > most || best === undefined || pair < best) [best, most] = [pair, count];
  }
  return best;
};

const mergePair = (symbols: readonly string[], left: string, right: string): string[] => {
  const merged: string[] = [];
  for (const symbol of symbols) {
    const joins = symbol === right && merged.at(-1) === left;
    if (joins) merged[merged.length - 1] = left + right;
    else merged.push(symbol);
  }
  return merged;
};

const learnMerges = (text: string, most: number): string[] => {
  const list = countWords(text);
  const merges: string[] = [];
  while (merges.length < most) {
    const pair = mostFrequentPair(list);
    if (pair === undefined) break;
    merges.push(pair);
    const [left = '', right = ''] = pair.split(' ');
    for (const word of list) word.symbols = mergePair(word.symbols, left, right);
  }
  return merges;
};

const special = { SpecialToken: { id: endOfText, type_id: 0 } };
const sequence = (id: 'A' | 'B', type: number) => ({ Sequence: { id, type_id: type } });
const byteLevel = {
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: true,
};

export interface TokenizerFiles {
  readonly size: number;
  readonly definition: JsonObject;
  readonly config: JsonObject;
}

/** tokenizer.json and tokenizer_config.json with at most `size` tokens; all bytes are covered. */
export const learnTokenizer = (text: string, size: number): TokenizerFiles => {
  const base = [endOfText, ...byteCharacters];
  const merges = learnMerges(text, size - base.length);
  const tokens = [...base, ...merges.map((pair) => pair.replace(' ', ''))];
  const added = { id: 0, content: endOfText, special: true };
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  const definition = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [{ ...added, ...flags }],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: {
      type: 'TemplateProcessing',
      single: [special, sequence('A', 0)],
      pair: [special, sequence('A', 0), special, sequence('B', 1)],
      special_tokens: { [endOfText]: { id: endOfText, ids: [0], tokens: [endOfText] } },
    },
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: endOfText,
    eos_token: endOfText,
    clean_up_tokenization_spaces: false,
  };
  return { size: tokens.length, definition, config };
};
