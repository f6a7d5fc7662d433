// A tiny checkpoint with a tokenizer of whole words, and rows that it can read.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LanguageModel } from '../../src/engine/model.js';

const specials = ['<pad>', '<s>', '</s>', '<unk>'];
const words = [
  ...['a', 'the', 'old', 'new', 'red', 'blue', 'dog', 'cat', 'king', 'queen', 'star', 'house'],
  ...['reads', 'keeps', 'loves', 'sees', 'makes', 'takes', 'slowly', 'quickly', 'kind', 'loud'],
];
const vocabulary = [...specials, ...words];

const tokenizer = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: specials.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: null,
  pre_tokenizer: { type: 'WhitespaceSplit' },
  post_processor: null,
  decoder: null,
  model: {
    type: 'WordLevel',
    vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
    unk_token: '<unk>',
  },
};

const template =
  "{% for message in messages %}{{ message.content }} {% if message.role == 'assistant' %}" +
  '{{ eos_token }}{% endif %}{% endfor %}';

/** Random weights; 2 layers, 64 positions. */
export const makeStart = async (folder: string, { chat = false } = {}): Promise<string> => {
  await using model = await LanguageModel.create({
    model_type: 'llama',
    vocab_size: vocabulary.length,
    hidden_size: 16,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    num_hidden_layers: 2,
    intermediate_size: 24,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    initializer_range: 0.2,
  });
  await mkdir(join(folder, '..'), { recursive: true });
  await model.save(folder);
  const files = {
    'tokenizer.json': tokenizer,
    'tokenizer_config.json': {
      bos_token: '<s>',
      eos_token: '</s>',
      unk_token: '<unk>',
      ...(chat ? { chat_template: template } : {}),
    },
    'generation_config.json': { bos_token_id: 1, eos_token_id: 2 },
  };
  for (const [name, value] of Object.entries(files)) {
    await writeFile(join(folder, name), JSON.stringify(value));
  }
  return folder;
};

const word = (i: number): string => words[i % words.length]!;

/** All different. */
export const pairs = (count: number): { prompt: string; chosen: string; rejected: string }[] =>
  Array.from({ length: count }, (_, i) => ({
    prompt: `${word(i)} ${word(3 * i + 1)} ${word(5 * i + 2)}`,
    chosen: ` ${word(i + 4)} ${word(2 * i)}`,
    rejected: ` ${word(7 * i + 1)} ${word(i)} ${word(i + 9)}`,
  }));

export const unpaired = (count: number): { prompt: string; completion: string; label: boolean }[] =>
  pairs(count).map(({ prompt, chosen }, i) => ({
    prompt,
    completion: chosen,
    label: i % 2 === 0,
  }));
