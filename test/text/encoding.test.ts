// Rows to token ids: BOS, EOS, templates, limits, in the styles of several families.
import test, { type ExecutionContext } from 'ava';
import { ChatTemplate } from '../../src/text/chat-template.js';
import { Encoder, type EncodingOptions } from '../../src/text/encoding.js';
import type { TextRecord } from '../../src/text/example.js';
import { assertError, caught, randomNumbers } from '../checkpoint/helpers.js';
import { assistant, encoded, ids, origin, pair, user } from './rows.js';
import { styles, wordTokenizer, words } from './tokenizers.js';

const stylish = async (
  t: ExecutionContext,
  name: string,
  options: EncodingOptions = {},
): Promise<{ encoder: Encoder; word: (text: string) => number; bos: number | undefined }> => {
  const style = styles[name]!;
  const tokenizer = await wordTokenizer(t, style);
  const encoder = new Encoder(tokenizer, {
    chatTemplate: new ChatTemplate(style.template),
    ...options,
  });
  const word = (text: string): number => style.specials.length + words.indexOf(text);
  return { encoder, word, bos: encoder.bos?.id };
};

// Written by hand from the formats: for each family the prompt and the two responses.
// Words are [user, assistant, model, hi, there, you, all, no] from the number of special tokens on.
const plainIds: Readonly<Record<string, number[][]>> = {
  neox: [
    [4, 5],
    [6, 7, 0],
    [8, 0],
  ],
  llama3: [
    [0, 6, 7],
    [8, 9, 1],
    [10, 1],
  ],
  qwen: [
    [6, 7],
    [8, 9, 2],
    [10, 2],
  ],
  gemma: [
    [2, 8, 9],
    [10, 11, 1],
    [12, 1],
  ],
};
const dialogueIds: Readonly<Record<string, number[][]>> = {
  neox: [
    [1, 4, 5, 2],
    [6, 7, 0],
    [8, 0],
  ],
  llama3: [
    [0, 3, 6, 7, 2, 4],
    [8, 9, 2],
    [10, 2],
  ],
  qwen: [
    [1, 3, 6, 7, 2, 1, 4],
    [8, 9, 2],
    [10, 2],
  ],
  gemma: [
    [2, 3, 5, 8, 9, 4, 3, 7],
    [10, 11, 4],
    [12, 4],
  ],
};
const row = pair('hi there', ' you all', ' no');
const chat = pair(user('hi there'), assistant('you all'), assistant('no'));

for (const name of Object.keys(styles)) {
  test(`${name}: plain, dialogue and cut rows have the ids of the format`, async (t) => {
    const { encoder } = await stylish(t, name);
    t.deepEqual(ids(encoded(encoder, row)), plainIds[name]);
    t.deepEqual(ids(encoded(encoder, chat)), dialogueIds[name]);
    const [prompt = [], chosen = [], rejected = []] = plainIds[name]!;
    // One token short of the chosen response's end: it loses its EOS, the rejected one keeps it.
    const maxLength = prompt.length + chosen.length - 1;
    const { encoder: short } = await stylish(t, name, { maxLength });
    const cut = encoded(short, row);
    t.deepEqual(ids(cut), [prompt, chosen.slice(0, -1), rejected]);
    t.deepEqual(
      cut.responses.map(({ truncated }) => truncated ?? false),
      [true, false],
    );
    t.is(short.counts.truncated, 1);
  });

  test(`${name}: one BOS at most, whatever text and options spell`, async (t) => {
    for (const bos of ['tokenizer', 'always', 'never'] as const) {
      const { encoder, bos: id } = await stylish(t, name, id0(name, bos));
      const spelled = encoder.bos?.text ?? '';
      for (const prompt of ['hi', `${spelled} hi`, `${spelled}${spelled} hi`, user('hi')]) {
        const example = encoded(encoder, pair(prompt, ' you', ' no'));
        for (const tokens of example.responses.map((r) => [...example.prompt, ...r.tokens])) {
          const at = tokens.flatMap((token, i) => (token === id ? [i] : []));
          // Where one token is both, it may stand at the end as well.
          const inside = at.filter((i) => i > 0 && i < tokens.length - 1);
          t.deepEqual(inside, [], `${bos} ${JSON.stringify(prompt)}`);
          if (bos === 'always' && id !== undefined) t.is(tokens[0], id);
        }
      }
    }
  });
}

// Without a BOS token there is none to ask for.
const id0 = (name: string, bos: 'tokenizer' | 'always' | 'never'): EncodingOptions => ({
  bos: name === 'qwen' && bos === 'always' ? 'tokenizer' : bos,
});

test('BOS is never invented', async (t) => {
  const tokenizer = await wordTokenizer(t, styles.qwen!);
  const error = await caught(() => new Encoder(tokenizer, { bos: 'always' }));
  assertError(t, error, 'OPTION_INVALID', 'names none', 'bosToken');
  const named = new Encoder(tokenizer, { bos: 'always', bosToken: '<|endoftext|>' });
  t.deepEqual([...named.encodePrompt('hi')], [0, 6]);
  const unknown = await caught(() => new Encoder(tokenizer, { eosToken: '</s>' }));
  assertError(t, unknown, 'TOKENIZER_INVALID', '</s>');
});

test('words that the vocabulary lacks are its unknown token', async (t) => {
  const { encoder, word } = await stylish(t, 'qwen');
  t.deepEqual([...encoder.encodePrompt('hi zebra')], [word('hi'), word('[UNK]')]);
});

test('EOS is not doubled, not added to dialogues, and left out on demand', async (t) => {
  const { encoder } = await stylish(t, 'llama3');
  t.deepEqual(ids(encoded(encoder, pair('hi', ' you<|end|>', ' no'))).slice(1), [
    [8, 1],
    [10, 1],
  ]);
  const { encoder: bare } = await stylish(t, 'llama3', { eos: 'never' });
  t.deepEqual(ids(encoded(bare, pair('hi', ' you', ' no'))).slice(1), [[8], [10]]);
  // In the middle of a prompt it is a token like any other.
  t.deepEqual([...encoder.encodePrompt('hi<|end|> there')], [0, 6, 1, 7]);
});

test('prompts, texts and completions without a prompt', async (t) => {
  const { encoder } = await stylish(t, 'llama3');
  const group = encoded(encoder, { kind: 'prompt', prompt: user('hi'), columns: {}, origin });
  t.deepEqual([group.kind, ids(group)], ['group', [[0, 3, 6, 2, 4]]]);
  const text = encoded(encoder, { kind: 'text', text: 'hi there', origin });
  t.deepEqual([text.kind, ids(text)], ['completion', [[0], [6, 7, 1]]]);
  const { encoder: qwen } = await stylish(t, 'qwen');
  // The first token is predicted by nothing, so it is the prompt.
  t.deepEqual(ids(encoded(qwen, { kind: 'text', text: 'hi there', origin })), [[6], [7, 2]]);
  const headless = { kind: 'completion', prompt: '', completion: 'hi you', origin } as const;
  t.deepEqual(ids(encoded(qwen, headless)), [[6], [8, 2]]);
  t.deepEqual(ids(encoded(qwen, pair('', 'hi you', 'hi no'))), [[6], [8, 2], [10, 2]]);
  const error = await caught(() => qwen.encode(pair('', 'hi', 'no')));
  assertError(t, error, 'DATA_INVALID', origin, 'empty prompt', "bos: 'always'");
  t.like(qwen.encode({ kind: 'prompt', prompt: '', columns: {}, origin }), {
    dropped: 'empty_prompt',
  });
  const messages = [...user('hi'), ...assistant('you')];
  const dialogue = encoded(qwen, { kind: 'text', text: messages, origin });
  t.deepEqual(ids(dialogue), [[1], [3, 6, 2, 1, 4, 8, 2]]);
});

test('labels and margins are kept', async (t) => {
  const { encoder } = await stylish(t, 'llama3');
  const unpaired = { kind: 'unpaired', prompt: 'hi', completion: ' no', label: false } as const;
  t.like(encoded(encoder, { ...unpaired, origin }), { kind: 'completion', label: false, origin });
  t.is(encoded(encoder, { ...(row as object), margin: 0.5 } as TextRecord).margin, 0.5);
});

test('empty responses are dropped with a count, refused or kept', async (t) => {
  const empty = pair('hi', '', ' no');
  const { encoder } = await stylish(t, 'llama3');
  t.like(encoder.encode(empty), { example: null, dropped: 'empty_completion' });
  t.like(encoder.encode(pair(user('hi'), assistant(''), assistant('no'))), { example: null });
  t.is(encoder.counts.dropped.empty_completion, 2);
  const { encoder: strict } = await stylish(t, 'llama3', { emptyCompletion: 'error' });
  assertError(t, await caught(() => strict.encode(empty)), 'DATA_INVALID', origin, 'empty');
  const { encoder: keeping } = await stylish(t, 'llama3', { emptyCompletion: 'keep' });
  t.deepEqual(ids(encoded(keeping, empty)), [[0, 6], [1], [10, 1]]);
  // Nothing at all is left: dropped even so.
  const { encoder: bare } = await stylish(t, 'llama3', { emptyCompletion: 'keep', eos: 'never' });
  t.like(bare.encode(empty), { dropped: 'empty_completion' });
});

test('each truncation policy does what it says', async (t) => {
  const long = pair('hi there you all', ' hi hi hi', ' no');
  const tryout = async (options: EncodingOptions) => {
    const { encoder } = await stylish(t, 'llama3', options);
    const result = encoder.encode(long);
    return result.example ? ids(result.example) : result.dropped;
  };
  const [p, c, r] = [
    [0, 6, 7, 8, 9],
    [6, 6, 6, 1],
    [10, 1],
  ];
  t.deepEqual(await tryout({}), [p, c, r]);
  t.deepEqual(await tryout({ maxLength: 9 }), [p, c, r]);
  t.deepEqual(await tryout({ maxLength: 7 }), [p, [6, 6], r]);
  t.is(await tryout({ maxLength: 5 }), 'prompt_too_long');
  // BOS stays, and the start of the prompt goes.
  t.deepEqual(await tryout({ maxLength: 7, truncation: 'keep_end' }), [[0, 8, 9], c, r]);
  t.deepEqual(await tryout({ maxLength: 3, truncation: 'keep_end' }), [[9], [6, 6], r]);
  t.is(await tryout({ maxLength: 8, truncation: 'drop' }), 'too_long');
  t.is(await tryout({ maxPromptLength: 4, truncation: 'drop' }), 'prompt_too_long');
  t.is(await tryout({ maxCompletionLength: 3, truncation: 'drop' }), 'completion_too_long');
  t.deepEqual(await tryout({ maxPromptLength: 3 }), [[0, 6, 7], c, r]);
  const both = { maxPromptLength: 3, maxCompletionLength: 3, truncation: 'keep_end' } as const;
  t.deepEqual(await tryout(both), [[0, 8, 9], [6, 6, 6], r]);
  const error = await caught(() => tryout({ maxLength: 8, truncation: 'error' }));
  assertError(t, error, 'SEQUENCE_TOO_LONG', origin, '9 tokens', 'maxLength', '8');
  // A prompt to sample from leaves room for the response.
  const { encoder } = await stylish(t, 'llama3', {
    maxLength: 6,
    maxCompletionLength: 3,
    truncation: 'keep_end',
  });
  const prompt = { kind: 'prompt', prompt: 'hi there you all', columns: {}, origin } as const;
  t.deepEqual(ids(encoded(encoder, prompt)), [[0, 8, 9]]);
});

test('limits hold, and nothing is lost in the middle, for random lengths', async (t) => {
  const random = randomNumbers(5);
  const some = (n: number): string => Array.from({ length: n }, () => ' hi').join('');
  const upTo = (n: number): number => 1 + Math.floor(random() * n);
  for (let i = 0; i < 60; i++) {
    const maxLength = 1 + upTo(9);
    const truncation = random() < 0.5 ? 'keep_start' : 'keep_end';
    const { encoder } = await stylish(t, 'llama3', { maxLength, truncation });
    const lengths = [upTo(8), upTo(8), upTo(8)] as const;
    const [prompt, a, b] = lengths.map(some) as [string, string, string];
    const { example } = encoder.encode(pair(prompt, a, b));
    if (!example) {
      t.true(truncation === 'keep_start' && lengths[0] + 1 >= maxLength);
      continue;
    }
    example.responses.forEach(({ tokens, truncated }, which) => {
      t.true(example.prompt.length + tokens.length <= maxLength);
      t.is(tokens.at(-1) === 1, !truncated);
      if (!truncated) t.is(tokens.length, lengths[which + 1]! + 1);
    });
  }
});

test('what decides the ids is described, and unknown options are refused', async (t) => {
  const { encoder } = await stylish(t, 'llama3', { maxLength: 9 });
  const described = encoder.describe();
  t.like(described, { bos: 'tokenizer', eos: 'append', maxLength: 9, bosToken: '<|begin|>' });
  t.deepEqual(JSON.parse(JSON.stringify(described)), described);
  t.regex(String(described.tokenizer), /^[0-9a-f]{64}$/);
  const { encoder: other } = await stylish(t, 'gemma', { maxLength: 9 });
  t.not(described.tokenizer, other.describe().tokenizer);
  t.not(described.chatTemplate, other.describe().chatTemplate);
  const bad: [object, string][] = [
    [{ truncation: 'left' }, 'keep_start'],
    [{ maxLength: 1 }, 'maxLength'],
    [{ maxPromptLength: 1.5 }, 'maxPromptLength'],
    [{ max_length: 5 }, 'max_length'],
    [{ chatTemplate: 'chatml' }, 'ChatTemplate'],
  ];
  for (const [options, part] of bad) {
    const error = await caught(() => new Encoder(encoder.tokenizer, options));
    assertError(t, error, 'OPTION_INVALID', part);
  }
});
