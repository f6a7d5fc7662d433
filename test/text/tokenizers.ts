// Tokenizers for the tests of text: made here word by word in the styles of known families, or
// built from the files that gpt-2 and llama.cpp publish.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { ExecutionContext } from 'ava';
import { Tokenizer } from '../../src/text/tokenizer.js';
import { temporaryFolder } from '../checkpoint/helpers.js';
import { shared } from '../helpers/reference-files.js';

export const tokenizerFiles = join(shared, 'data/tokenizers');

const none = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };

export const tokenizerOf = async (
  t: ExecutionContext,
  definition: object,
  config: object = {},
): Promise<Tokenizer> => {
  const folder = join(await temporaryFolder(t), 'tokenizer');
  await mkdir(folder);
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ ...none, ...definition }));
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  return Tokenizer.load(folder);
};

const special = (id: number, content: string) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

export interface Style {
  /** Ids are 0, 1, 2 … in this order, words after them. */
  readonly specials: readonly string[];
  readonly bos: string | null;
  readonly eos: string;
  /** Put before every text by the tokenizer itself. */
  readonly adds: string | null;
  readonly template: string;
}

export const words = ['user', 'assistant', 'model', 'hi', 'there', 'you', 'all', 'no', '[UNK]'];

/** A tokenizer of whole words in the style of a family. */
export const wordTokenizer = (t: ExecutionContext, style: Style): Promise<Tokenizer> => {
  const { specials, bos, eos, adds } = style;
  const vocab = Object.fromEntries([...specials, ...words].map((text, id) => [text, id]));
  const start = adds === null ? [] : [{ SpecialToken: { id: adds, type_id: 0 } }];
  const ids = adds === null ? {} : { [adds]: { id: adds, ids: [vocab[adds]], tokens: [adds] } };
  const sequence = { Sequence: { id: 'A', type_id: 0 } };
  return tokenizerOf(
    t,
    {
      added_tokens: specials.map((text, id) => special(id, text)),
      pre_tokenizer: { type: 'WhitespaceSplit' },
      post_processor: {
        type: 'TemplateProcessing',
        single: [...start, sequence],
        pair: [sequence, { Sequence: { id: 'B', type_id: 1 } }],
        special_tokens: ids,
      },
      model: { type: 'WordLevel', vocab, unk_token: '[UNK]' },
    },
    { bos_token: bos, eos_token: { content: eos } },
  );
};

const turn = (open: string, close: string, role = 'message.role') =>
  `{% for message in messages %}${open.replace('ROLE', `{{ ${role} }}`)}` +
  `{{ message.content }}${close}{% endfor %}` +
  `{% if add_generation_prompt %}${open.replace('ROLE', 'assistant')}{% endif %}`;

/** How four families write BOS, EOS and turns. */
export const styles: Readonly<Record<string, Style>> = {
  neox: {
    specials: ['<|endoftext|>'],
    bos: '<|endoftext|>',
    eos: '<|endoftext|>',
    adds: null,
    template:
      '{% for message in messages %}{{ message.role }} {{ message.content }}' +
      "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %} {% endfor %}" +
      '{% if add_generation_prompt %}assistant {% endif %}',
  },
  llama3: {
    specials: ['<|begin|>', '<|end|>', '<|eot|>'],
    bos: '<|begin|>',
    eos: '<|end|>',
    adds: '<|begin|>',
    template: `{{ bos_token }}${turn(' ROLE ', '<|eot|>')}`,
  },
  qwen: {
    specials: ['<|endoftext|>', '<|im_start|>', '<|im_end|>'],
    bos: null,
    eos: '<|im_end|>',
    adds: null,
    template: turn('<|im_start|>ROLE\n', '<|im_end|>\n'),
  },
  gemma: {
    specials: ['<pad>', '<eos>', '<bos>', '<start_of_turn>', '<end_of_turn>'],
    bos: '<bos>',
    eos: '<eos>',
    adds: '<bos>',
    template:
      '{{ bos_token }}{% for message in messages %}' +
      "{% set role = 'model' if message.role == 'assistant' else message.role %}" +
      '<start_of_turn>{{ role }}\n{{ message.content | trim }}<end_of_turn>\n{% endfor %}' +
      '{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}',
  },
};

export const smollm = async (t: ExecutionContext, config?: object): Promise<Tokenizer> => {
  const packed = await readFile(join(tokenizerFiles, 'smollm/tokenizer.json.gz'));
  const definition = JSON.parse(gunzipSync(packed).toString()) as object;
  const own = await readFile(join(tokenizerFiles, 'smollm/tokenizer_config.json'), 'utf8');
  return tokenizerOf(t, definition, { ...(JSON.parse(own) as object), ...config });
};

const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };

/** From encoder.json and vocab.bpe, as OpenAI published them. */
export const gpt2 = async (t: ExecutionContext): Promise<Tokenizer> => {
  const packed = await readFile(join(tokenizerFiles, 'gpt2/encoder.json.gz'));
  const vocab = JSON.parse(gunzipSync(packed).toString()) as Record<string, number>;
  const lines = (await readFile(join(tokenizerFiles, 'gpt2/vocab.bpe'), 'utf8')).split('\n');
  const merges = lines.slice(1).filter((line) => line !== '');
  return tokenizerOf(
    t,
    {
      added_tokens: [special(vocab['<|endoftext|>'] ?? -1, '<|endoftext|>')],
      pre_tokenizer: { ...byteLevel, use_regex: true },
      decoder: byteLevel,
      model: { type: 'BPE', vocab, merges, unk_token: null },
    },
    { bos_token: '<|endoftext|>', eos_token: '<|endoftext|>' },
  );
};

/** The arrays of a GGUF file's header that describe its vocabulary. */
export const ggufVocabulary = async (path: string): Promise<Map<string, unknown>> => {
  const bytes = gunzipSync(await readFile(path));
  let at = 24; // magic, version, number of tensors, number of keys
  const number = (size: number, read: (at: number) => number): number => {
    at += size;
    return read(at - size);
  };
  const u32 = () => number(4, (i) => bytes.readUInt32LE(i));
  const u64 = () => number(8, (i) => Number(bytes.readBigUInt64LE(i)));
  const text = (): string => {
    const length = u64();
    at += length;
    return bytes.toString('utf8', at - length, at);
  };
  const scalars: Readonly<Record<number, () => unknown>> = {
    0: () => number(1, (i) => bytes.readUInt8(i)),
    4: u32,
    5: () => number(4, (i) => bytes.readInt32LE(i)),
    6: () => number(4, (i) => bytes.readFloatLE(i)),
    7: () => number(1, (i) => bytes.readUInt8(i)) === 1,
    8: text,
  };
  const value = (type: number): unknown => {
    if (type !== 9) return scalars[type]!();
    const item = u32();
    return Array.from({ length: u64() }, () => scalars[item]!());
  };
  const keys = Number(bytes.readBigUInt64LE(16));
  return new Map(Array.from({ length: keys }, () => [text(), value(u32())]));
};

/**
 * A SentencePiece vocabulary as a tokenizers file: of all pairs of pieces that make a piece, the
 * one with the best score merges first.
 */
export const sentencePiece = async (t: ExecutionContext, path: string): Promise<Tokenizer> => {
  const gguf = await ggufVocabulary(path);
  const pieces = gguf.get('tokenizer.ggml.tokens') as string[];
  const scores = gguf.get('tokenizer.ggml.scores') as number[];
  const ids = new Map(pieces.map((piece, id) => [piece, id]));
  const merges = pieces.flatMap((piece, id) => {
    const letters = Array.from(piece);
    const splits = letters.slice(1).map((_, i): [string, string] => {
      return [letters.slice(0, i + 1).join(''), letters.slice(i + 1).join('')];
    });
    return splits
      .filter(([left, right]) => ids.has(left) && ids.has(right))
      .sort(([a, b], [c, d]) => ids.get(a)! - ids.get(c)! || ids.get(b)! - ids.get(d)!)
      .map((pair) => ({ pair, score: scores[id]! }));
  });
  merges.sort((a, b) => b.score - a.score);
  const names = ['<unk>', '<s>', '</s>'];
  const decoders = [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    { type: 'Strip', content: ' ', start: 1, stop: 0 },
  ];
  const normalizers = [
    { type: 'Prepend', prepend: '▁' },
    { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
  ];
  return tokenizerOf(
    t,
    {
      added_tokens: names.map((name, id) => special(id, name)),
      normalizer: { type: 'Sequence', normalizers },
      decoder: { type: 'Sequence', decoders },
      model: {
        type: 'BPE',
        vocab: Object.fromEntries(ids),
        merges: merges.map(({ pair }) => pair.join(' ')),
        unk_token: '<unk>',
        byte_fallback: true,
        fuse_unk: true,
      },
    },
    { bos_token: '<s>', eos_token: '</s>' },
  );
};

/** Texts with the ids that llama.cpp expects. */
export const llamaVectors = async (
  name: string,
): Promise<{ readonly text: string; readonly ids: number[] }[]> => {
  const base = join(tokenizerFiles, `gguf-vocab/ggml-vocab-${name}.gguf`);
  const texts = (await readFile(`${base}.inp`, 'utf8')).split('\n__ggml_vocab_test__\n');
  const lines = (await readFile(`${base}.out`, 'utf8')).split('\n');
  return texts.map((text, i) => ({
    text,
    ids: (lines[i] ?? '').split(' ').filter(Boolean).map(Number),
  }));
};
