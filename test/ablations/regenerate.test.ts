// Datasets of model responses: who answered, with what, and who was preferred.
import test, { type ExecutionContext } from 'ava';
import { type RegenerateOptions, regenerate } from '../../src/ablations/regenerate.js';
import { openRows } from '../../src/data/dataset.js';
import { Encoder } from '../../src/text/encoding.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { assertBitEqual } from '../helpers/arrays.js';
import { provenance, sumJudge, tinyPolicy } from '../sources/helpers.js';
import { styles, wordTokenizer } from '../text/tokenizers.js';

const rows = ['hi', 'hi there', 'you', 'all', 'no', 'hi all'].map((prompt) => ({
  prompt,
  chosen: ' there',
  rejected: ' no no no',
}));

const setUp = async (t: ExecutionContext) => {
  const a = { model: await tinyPolicy(t), name: 'a', step: 800 };
  const b = { model: await tinyPolicy(t, { seed: 2 }), name: 'b', step: 4000 };
  // Nine words and eight special tokens: the 17 of the model.
  const qwen = styles.qwen!;
  const specials = [...qwen.specials, ...['a', 'b', 'c', 'd', 'e'].map((name) => `<${name}>`)];
  const encoder = new Encoder(await wordTokenizer(t, { ...qwen, specials }));
  const sampling = { maxNewTokens: 5, stopTokens: [2] };
  const options = { encoder, first: a, second: b, judge: sumJudge, sampling, seed: 5 };
  return { a, b, options, dataset: await openRows(rows) };
};

const sum = (tokens: Int32Array): number => tokens.reduce((total, id) => total + id, 0);

test('two snapshots answer each prompt once; the judge decides who is chosen', async (t) => {
  const { a, b, options, dataset } = await setUp(t);
  const { examples, ties, failed, dataset: made } = await regenerate(dataset, options);
  t.is(examples.length + ties + failed, rows.length);
  t.true(examples.length > 0);
  for (const example of examples) {
    const [chosen, rejected] = example.responses;
    t.true(sum(chosen!.tokens) > sum(rejected!.tokens));
    const { samples, judge, verdicts } = provenance(example);
    t.deepEqual(judge, { name: sumJudge.name, version: sumJudge.version });
    t.deepEqual(samples.map(({ sample }) => sample).toSorted(), [0, 1]);
    t.is(verdicts![0]!.preference! > 0.5, samples[0]!.sample === 0);
    for (const [i, { tokens, behaviour }] of example.responses.entries()) {
      const { generator, sample } = samples[i]!;
      const side = sample === 0 ? a : b;
      t.deepEqual(generator, { id: side.name, step: side.step });
      // The log-probabilities are those of the snapshot that is named.
      const { logProbs } = await side.model.score([
        { tokens: example.prompt, scored: false },
        { tokens, parent: 0 },
      ]);
      assertBitEqual(t, behaviour!, logProbs, `${example.origin}, response ${i}`);
    }
  }
  const records = await made.toArray();
  t.deepEqual(
    records.map(({ origin }) => origin),
    examples.map(({ origin }) => origin),
  );
  t.like(made.describe(), {
    ablation: 'regenerate',
    sides: [
      { name: 'a', step: 800 },
      { name: 'b', step: 4000 },
    ],
    of: [dataset.describe()],
  });
});

test('what is drawn depends on the seed, not on how many are drawn at once', async (t) => {
  const { options, dataset } = await setUp(t);
  const drawn = async (changes: Partial<RegenerateOptions>) =>
    (await regenerate(dataset, { ...options, ...changes })).examples.map(({ responses }) =>
      responses.map(({ tokens }) => [...tokens]),
    );
  const all = await drawn({});
  t.deepEqual(await drawn({ promptsAtOnce: 2 }), all);
  t.notDeepEqual(await drawn({ seed: 6 }), all);
});

test('both sides from one model are independent samples', async (t) => {
  const { a, options, dataset } = await setUp(t);
  const { judge: _, ...rest } = options;
  const { examples } = await regenerate(dataset, { ...rest, second: { ...a, name: 'again' } });
  t.is(examples.length, rows.length, 'without a judge all stay');
  const same = examples.filter(
    ({ responses }) => responses[0]!.tokens.join() === responses[1]!.tokens.join(),
  );
  t.true(same.length < rows.length);
  t.true(examples.every((example) => provenance(example).samples[0]!.generator.id === 'a'));
});

test('responses of the data stand against those of a model', async (t) => {
  const { a, options, dataset } = await setUp(t);
  const { judge: _, ...rest } = options;
  const { examples, dataset: made } = await regenerate(dataset, {
    ...rest,
    first: 'chosen',
    second: a,
  });
  const records = await made.toArray();
  for (const [i, example] of examples.entries()) {
    const own = options.encoder.encode({ ...records[i]!, ...rows[i] }).example!;
    t.deepEqual(example.responses[0]!.tokens, own.responses[0]!.tokens);
    t.is(example.responses[0]!.behaviour, undefined, 'nobody drew it');
    t.like(records[i], { chosen: ' there', prompt: rows[i]!.prompt });
    t.is(provenance(example).samples[0]!.generator.id, 'data:chosen');
  }
  const both = { ...rest, first: 'chosen', second: 'rejected' } as const;
  const neither = await caught(() => regenerate(dataset, both));
  assertError(t, neither, 'OPTION_INVALID', 'One side must be a model');
  const prompts = await openRows([{ prompt: 'hi' }]);
  const without = await caught(() => regenerate(prompts, { ...rest, first: 'rejected' }));
  assertError(t, without, 'DATA_INVALID', 'rows[0]', 'no chosen and rejected');
  t.is((await regenerate(prompts, rest)).examples.length, 1);
});

test('temperature and filters are recorded with what they did to the probabilities', async (t) => {
  const { options, dataset } = await setUp(t);
  const sampling = { maxNewTokens: 5, temperature: 0.5 };
  const { examples, dataset: made } = await regenerate(dataset, { ...options, sampling });
  t.true(examples.every((example) => provenance(example).samples.every((s) => s.processed)));
  t.like(made.describe(), { sampling: { a: { temperature: 0.5, maxNewTokens: 5 } } });
});
