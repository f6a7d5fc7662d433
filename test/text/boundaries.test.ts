// Prompts and responses in one sequence: token boundaries, and TRL's runs token for token.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promptWithResponses } from '../../src/engine/batch.js';
import { LanguageModel } from '../../src/engine/model.js';
import { ChatTemplate } from '../../src/text/chat-template.js';
import { Encoder } from '../../src/text/encoding.js';
import type { TextRecord } from '../../src/text/example.js';
import { Tokenizer } from '../../src/text/tokenizer.js';
import { assertError, caught, randomNumbers } from '../checkpoint/helpers.js';
import { goldens, referenceTest, shared } from '../helpers/reference-files.js';
import { assistant, encoded, ids, origin, pair, user } from './rows.js';
import { gpt2, sentencePiece, smollm, tokenizerFiles } from './tokenizers.js';

// Ids of tokenizers 0.23 (Python), for the parts and for the whole.
const boundaries: readonly [string, string, number[], number[], boolean][] = [
  ['The sky is', ' blue.', [504, 6376, 314], [4461, 30], false],
  ['The sky is ', 'blue.', [504, 6376, 314, 216], [16591, 30], true],
  ['x = 12', '34;', [104, 446, 216, 33, 34], [35, 36, 43], false],
  ['new\n', '\nline', [2241, 198], [198, 1311], false],
  ['caf', 'é ☕🙂', [83, 1939], [2756, 4636, 242, 239, 10813, 38887], false],
  ['你', '好', [18645, 250], [48392, 138], false],
];

referenceTest(
  'merges across the boundary are seen, counted, and split, kept or refused',
  async (t) => {
    const tokenizer = await smollm(t);
    const splitting = new Encoder(tokenizer, { eos: 'never' });
    const suffix = new Encoder(tokenizer, { eos: 'never', boundary: 'suffix' });
    const strict = new Encoder(tokenizer, { boundary: 'error' });
    for (const [prompt, completion, promptIds, ownIds, merges] of boundaries) {
      const record = { kind: 'completion', prompt, completion, origin } as const;
      const example = encoded(splitting, record);
      t.deepEqual(ids(example), [promptIds, ownIds]);
      t.deepEqual([...splitting.encodePrompt(prompt)], promptIds);
      t.is(splitting.decode(example.responses[0]!.tokens, example.prompt), completion);
      const error = await caught(() => strict.encode(record));
      if (merges) assertError(t, error, 'DATA_INVALID', origin, '" blue"');
      else t.is(error, undefined);
      // TRL: what is left of prompt + response after the prompt's length.
      t.deepEqual(ids(encoded(suffix, record))[1], merges ? [30] : ownIds);
    }
    t.is(splitting.counts.boundaryMerges, 1);
    t.is(suffix.counts.boundaryMerges, 1);
    t.is(splitting.counts.encoded, boundaries.length);
  },
);

referenceTest('a response by itself has no mark of a text that starts', async (t) => {
  const tokenizer = await Tokenizer.load(join(shared, 'models/stories260k'));
  const encoder = new Encoder(tokenizer, { eos: 'never' });
  t.is(encoder.encodePrompt('Once')[0], 1);
  for (const text of ['Once', ' upon', '\nnew', '\n\nnew', 'é', '1', ' ']) {
    const tokens = encoder.encodeContinuation(text);
    const prompt = encoder.encodePrompt('time.');
    t.is(encoder.decode(tokens, prompt), text, JSON.stringify(text));
    t.is(tokenizer.decode([...prompt, ...tokens]), `time.${text}`);
  }
});

const fragments = [
  ...['a', ' the', 'word', ' ', '  ', '\n', '\n\n', '\t', '12', '7', '.', ' (', "'t", '...', '-'],
  ...['é', '你好', '世', '🙂', '👩‍👩‍👧', 'ß', '\u0301', 'Ω', 'نص', ' 1', 'ing', 'un', '_', '{}'],
];

referenceTest('a prompt is a prefix and no character is lost, for random texts', async (t) => {
  const llama = await sentencePiece(
    t,
    join(tokenizerFiles, 'gguf-vocab/ggml-vocab-llama-spm.gguf.gz'),
  );
  const tokenizers = {
    smollm: await smollm(t),
    gpt2: await gpt2(t),
    stories: await Tokenizer.load(join(shared, 'models/stories260k')),
    llama,
  };
  for (const [name, tokenizer] of Object.entries(tokenizers)) {
    const random = randomNumbers(8);
    const text = (): string =>
      Array.from({ length: 1 + Math.floor(random() * 4) }, () => {
        return fragments[Math.floor(random() * fragments.length)]!;
      }).join('');
    const encoder = new Encoder(tokenizer, { eos: 'never' });
    for (let i = 0; i < 150; i += 1) {
      const [prompt, completion] = [`x${text()}`, text()];
      const example = encoded(encoder, { kind: 'completion', prompt, completion, origin });
      const [head, tail] = ids(example) as [number[], number[]];
      t.deepEqual(head, [...encoder.encodePrompt(prompt)]);
      const both = JSON.stringify([name, prompt, completion]);
      t.is(tokenizer.decode([...head, ...tail]), prompt + completion, both);
    }
    t.true(encoder.counts.boundaryMerges > 0, name);
  }
});

const chatml =
  '{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n' +
  '{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';

referenceTest('a dialogue has the ids that jinja2 and tokenizers give it', async (t) => {
  const tokenizer = await smollm(t);
  const encoder = new Encoder(tokenizer, { chatTemplate: new ChatTemplate(chatml) });
  const { prompt, responses } = encoded(encoder, {
    kind: 'completion',
    prompt: user('What is 12 + 30?'),
    completion: assistant('It is 42.'),
    origin,
  });
  t.deepEqual(
    [...prompt],
    [1, 4093, 198, 1780, 314, 216, 33, 34, 1232, 216, 35, 32, 47, 2, 198, 1, 520, 9531, 198],
  );
  t.deepEqual([...responses[0]!.tokens], [1589, 314, 216, 36, 34, 30, 2, 198]);
});

const jsonLines = async (path: string): Promise<Record<string, string>[]> =>
  (await readFile(path, 'utf8'))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, string>);

/** Tokens that TRL's log says went through each step's 8 rows. */
const tokenCounts = async (run: string): Promise<number[]> => {
  const log = await jsonLines(join(goldens, 'trl', run, 'log.jsonl'));
  const totals = log.filter((line) => 'num_tokens' in line).map((line) => Number(line.num_tokens));
  return totals.map((total, i) => total - (totals[i - 1] ?? 0));
};

referenceTest("TRL's runs: as many tokens at each step", async (t) => {
  const tokenizer = await Tokenizer.load(join(goldens, 'trl/start'));
  const rows = await jsonLines(join(goldens, 'trl/preferences.jsonl'));
  for (const run of ['dpo', 'dpo-truncated', 'sft']) {
    const settings = await readFile(join(goldens, 'trl', run, 'settings.json'), 'utf8');
    const { max_length: maxLength = 1024 } = JSON.parse(settings) as { max_length?: number };
    const encoder = new Encoder(tokenizer, { maxLength, boundary: 'suffix' });
    const lengths = rows.flatMap(({ prompt, chosen, rejected }) => {
      const record: TextRecord =
        run === 'sft'
          ? { kind: 'completion', prompt: prompt!, completion: chosen!, origin }
          : pair(prompt!, chosen!, rejected!);
      const { example } = encoder.encode(record);
      if (!example) return [];
      return example.responses.reduce((n, r) => n + example.prompt.length + r.tokens.length, 0);
    });
    const counts = await tokenCounts(run);
    t.is(counts.length, 12);
    counts.forEach((count, step) => {
      // TRL goes through the rows in order, again from the start when they are used up.
      const start = (step * 8) % (lengths.length - (lengths.length % 8));
      const total = lengths.slice(start, start + 8).reduce((a, b) => a + b, 0);
      t.is(total, count, `${run}, step ${step + 1}`);
    });
  }
});

referenceTest("TRL's runs: log-probabilities before the first step", async (t) => {
  const tokenizer = await Tokenizer.load(join(goldens, 'trl/start'));
  await using model = await LanguageModel.load(join(goldens, 'trl/start'), { dtype: 'f32' });
  const rows = (await jsonLines(join(goldens, 'trl/preferences.jsonl'))).slice(0, 8);
  // CPO and its kin put a BOS before every prompt; DPO leaves that to the tokenizer.
  for (const [run, bos] of [
    ['dpo', 'tokenizer'],
    ['cpo', 'always'],
  ] as const) {
    const encoder = new Encoder(tokenizer, { bos, maxLength: 1024 });
    const sums: [number, number] = [0, 0];
    for (const { prompt, chosen, rejected } of rows) {
      const example = encoded(encoder, pair(prompt!, chosen!, rejected!));
      const batch = promptWithResponses(
        example.prompt,
        example.responses.map(({ tokens }) => tokens),
      );
      const scores = await model.score(batch);
      for (const i of [0, 1] as const) {
        sums[i] += scores.logProbsOf(i + 1).reduce((a, b) => a + b, 0) / rows.length;
      }
    }
    const [log] = await jsonLines(join(goldens, 'trl', run, 'log.jsonl'));
    const expected = [Number(log!['logps/chosen']), Number(log!['logps/rejected'])];
    // A different token moves these by 1e-3 and more; f32 sums by 1e-5.
    sums.forEach((sum, i) => {
      t.true(Math.abs(sum / expected[i]! - 1) < 1e-5, `${run}: ${sum}, TRL ${expected[i]}`);
    });
  }
});
