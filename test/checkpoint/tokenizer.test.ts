// The tokenizer: agrees with the tokenizers library of Hugging Face, and refuses what is broken.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { Tokenizer } from '../../src/text/tokenizer.js';
import { referenceTest, shared } from '../helpers/reference-files.js';
import { assertError, caught, temporaryFolder } from './helpers.js';

const texts = [
  'Once upon a time, there was a little girl named Lily.',
  '  two  spaces\n\nnew lines\t tab',
  'naïve café — 你好 🙂!',
  "I'll don't 12345",
] as const;

// encode(text).ids of tokenizers 0.23 (Python) for the texts above.
const stories = [
  [1, 403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426],
  [
    1, 410, 410, 259, 424, 414, 410, 262, 427, 412, 331, 419, 13, 13, 416, 411, 424, 278, 271, 406,
    12, 259, 412, 430,
  ],
  [
    1, 297, 412, 198, 178, 360, 280, 412, 431, 485, 410, 481, 410, 231, 192, 163, 232, 168, 192,
    410, 243, 162, 156, 133, 443,
  ],
  [1, 359, 439, 306, 279, 289, 439, 413, 410, 475, 479, 472, 484, 480],
];
const smollm = [
  [6403, 1980, 253, 655, 28, 665, 436, 253, 1838, 8180, 3365, 14176, 30],
  [216, 827, 216, 5600, 198, 198, 2241, 3204, 197, 10147],
  [3546, 46494, 37366, 1841, 216, 18645, 250, 48392, 138, 47526, 17],
  [57, 3060, 1326, 982, 216, 33, 34, 35, 36, 37],
];

const storiesFolder = join(shared, 'models/stories260k');

const assertTexts = (t: ExecutionContext, tokenizer: Tokenizer, ids: number[][]) => {
  texts.forEach((text, i) => {
    t.deepEqual([...tokenizer.encode(text)], ids[i]);
    t.is(tokenizer.decode(tokenizer.encode(text)), text);
  });
};

referenceTest('sentencepiece-like with bytes: stories260k', async (t) => {
  const tokenizer = await Tokenizer.load(storiesFolder);
  assertTexts(t, tokenizer, stories);
  t.is(tokenizer.size, 512);
  t.deepEqual([...tokenizer.encode('a', { specialTokens: false })].includes(1), false);
  t.deepEqual([...tokenizer.encode('')], [1]);
  t.is(tokenizer.decode([]), '');
  t.is(tokenizer.idOf('</s>'), 2);
  t.is(tokenizer.decode([1, 403, 2]), 'Once');
  t.is(tokenizer.decode([1, 403, 2], { skipSpecialTokens: false }), '<s> Once</s>');
});

referenceTest('byte-level BPE with special tokens: smollm', async (t) => {
  const folder = await temporaryFolder(t);
  const packed = await readFile(join(shared, 'data/tokenizers/smollm/tokenizer.json.gz'));
  await writeFile(join(folder, 'tokenizer.json'), gunzipSync(packed));
  const tokenizer = await Tokenizer.load(folder);
  assertTexts(t, tokenizer, smollm);
  const chat = tokenizer.encode('<|im_start|>user\nhi<|im_end|>');
  t.deepEqual([...chat], [1, 4093, 198, 6004, 2]);
  t.is(tokenizer.decode(chat), 'user\nhi');
  t.is(tokenizer.decode(chat, { skipSpecialTokens: false }), '<|im_start|>user\nhi<|im_end|>');
});

referenceTest('spaces are kept whatever tokenizer_config.json says', async (t) => {
  const folder = await temporaryFolder(t);
  const definition = await readFile(join(storiesFolder, 'tokenizer.json'));
  await writeFile(join(folder, 'tokenizer.json'), definition);
  const config = { clean_up_tokenization_spaces: true };
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  const tokenizer = await Tokenizer.load(folder);
  t.is(tokenizer.decode(tokenizer.encode('Hello , you !')), 'Hello , you !');
});

referenceTest('ids outside of the vocabulary are refused', async (t) => {
  const tokenizer = await Tokenizer.load(storiesFolder);
  for (const id of [512, -1, 1.5, NaN]) {
    const error = await caught(() => tokenizer.decode([1, id]));
    assertError(t, error, 'TOKEN_OUT_OF_RANGE', String(id));
  }
});

test('missing and broken files are refused', async (t) => {
  const folder = await temporaryFolder(t);
  const load = () => Tokenizer.load(folder);
  assertError(t, await caught(load), 'CHECKPOINT_NOT_FOUND', 'tokenizer.json');
  const parts = { decoder: null, post_processor: null, pre_tokenizer: null, normalizer: null };
  const contents = [
    '',
    '{',
    '[]',
    '{}',
    '{"model": 3}',
    JSON.stringify({ ...parts, model: { type: 'Unheard' } }),
    JSON.stringify({ ...parts, model: { type: 'BPE', vocab: 3, merges: 4 }, added_tokens: 5 }),
  ];
  for (const content of contents) {
    await writeFile(join(folder, 'tokenizer.json'), content);
    assertError(t, await caught(load), 'TOKENIZER_INVALID', 'tokenizer.json');
  }
});
