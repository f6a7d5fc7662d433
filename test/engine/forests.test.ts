// A forest gives what its paths give as separate full sequences, bit for bit, in any order and
// company.
import test from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { randomNumbers, smallConfig } from '../checkpoint/helpers.js';
import { assertBitEqual, worstTensor } from '../helpers/arrays.js';
import {
  type TokenSegment,
  asSequences,
  pathTo,
  randomFloats,
  randomForest,
  randomTokens,
  reordered,
  resultsOf,
} from '../helpers/forests.js';
import { golden, load, odd, owned } from '../helpers/models.js';
import { gradientsFor } from '../helpers/perturbed.js';

const families = ['llama3-rope', 'qwen3', 'gpt2', 'gpt_neox', 'gpt_neox-sequential', 'qwen2'];
const dtypes = ['f32', 'bf16'] as const;

/** Forest coefficients, placed at the ends of the full sequences and zero elsewhere. */
const spread = (forest: readonly TokenSegment[], coefficients: Float32Array): Float32Array => {
  const out: number[] = [];
  let at = 0;
  for (const segment of forest) {
    const count = resultsOf(segment);
    if (!(segment.scored ?? true)) continue;
    const length = pathTo(forest, forest.indexOf(segment)).length - 1;
    out.push(...new Float32Array(length - count), ...coefficients.subarray(at, at + count));
    at += count;
  }
  return Float32Array.from(out);
};

const oddFamilies = ['llama', 'qwen2', 'qwen3', 'gpt2', 'gpt_neox'];

/** Reference models, and the odd shapes of `odd`. */
const models: readonly {
  readonly name: string;
  readonly vocab: number;
  readonly make: (t: Parameters<typeof load>[0], dtype: 'f32' | 'bf16') => Promise<LanguageModel>;
}[] = [
  ...families.map((name) => ({
    name,
    vocab: 320,
    make: (t: Parameters<typeof load>[0], dtype: 'f32' | 'bf16') =>
      load(t, golden(name), { dtype }),
  })),
  ...oddFamilies.map((family) => ({
    name: `an odd ${family}`,
    vocab: 17,
    make: (t: Parameters<typeof load>[0], dtype: 'f32' | 'bf16') => odd(t, family, { dtype }),
  })),
];

for (const { name, vocab, make } of models) {
  for (const dtype of dtypes) {
    test(`${name} ${dtype}: a forest scores as its paths do, bit for bit`, async (t) => {
      const model = await make(t, dtype);
      for (const seed of [1, 2, 3]) {
        const forest = randomForest(seed, { vocab });
        const sequences = asSequences(forest);
        const scores = await model.score(forest, { entropy: true });
        const full = await model.score(sequences, { entropy: true });
        const results = forest.reduce((sum, segment) => sum + resultsOf(segment), 0);
        t.is(scores.logProbs.length, results);
        t.is(scores.entropies.length, results);
        sequences.forEach(({ segment }, i) => {
          const count = resultsOf(forest[segment]!);
          const end = (values: Float32Array) => values.slice(values.length - count);
          const what = `forest ${seed}, segment ${segment}`;
          assertBitEqual(t, scores.logProbsOf(segment), end(full.logProbsOf(i)), what);
          assertBitEqual(t, scores.entropiesOf(segment), end(full.entropiesOf(i)), what);
        });
      }
    });
  }

  test(`${name}: a forest has the gradients of its paths`, async (t) => {
    const model = await make(t, 'f32');
    const forest = randomForest(4, { vocab });
    const random = randomNumbers(5);
    const count = forest.reduce((sum, segment) => sum + resultsOf(segment), 0);
    const [a, e] = [randomFloats(random, count), randomFloats(random, count)];
    const gradients = (
      batch: readonly TokenSegment[],
      logProbs: Float32Array,
      entropies: Float32Array,
    ) =>
      gradientsFor(model, {
        batch,
        options: { entropy: true },
        coefficients: { logProbs, entropies },
      });
    const asForest = await gradients(forest, a, e);
    const sequences = asSequences(forest).map(({ tokens }) => ({ tokens }));
    const asPaths = await gradients(sequences, spread(forest, a), spread(forest, e));
    // The same f32 terms in another order of addition: a shared prompt's are added once here, in
    // each sequence there. 1e-5 of a tensor is about a hundred roundings.
    const { error, name: tensor } = worstTensor(asForest, asPaths);
    t.true(error < 1e-5, `${tensor} differs by ${error}`);
  });
}

const scoresOf = async (model: LanguageModel, forest: readonly TokenSegment[]) => {
  const scores = await model.score(forest, { entropy: true });
  return (segment: number) => [scores.logProbsOf(segment), scores.entropiesOf(segment)] as const;
};

for (const dtype of dtypes) {
  test(`${dtype}: the order of segments and unrelated trees change no bit`, async (t) => {
    const model = await load(t, golden('llama'), { dtype, trainable: false });
    for (const seed of [10, 11, 12]) {
      const forest = randomForest(seed);
      const expected = await scoresOf(model, forest);
      const other = reordered(forest, seed + 100);
      t.notDeepEqual(other.from, [...forest.keys()]);
      const shuffled = await scoresOf(model, other.forest);
      other.from.forEach((segment, i) => {
        const [logProbs, entropies] = shuffled(i);
        assertBitEqual(t, logProbs, expected(segment)[0], `reordered ${segment}`);
        assertBitEqual(t, entropies, expected(segment)[1], `reordered ${segment}`);
      });
      const stranger = randomForest(seed + 200, { segments: 5 });
      const joined = await scoresOf(model, [
        ...stranger,
        ...forest.map((s) =>
          s.parent === undefined ? s : { ...s, parent: s.parent + stranger.length },
        ),
      ]);
      forest.forEach((_, segment) => {
        const [logProbs, entropies] = joined(stranger.length + segment);
        assertBitEqual(t, logProbs, expected(segment)[0], `joined ${segment}`);
        assertBitEqual(t, entropies, expected(segment)[1], `joined ${segment}`);
      });
    }
  });

  test(`${dtype}: where a text is cut into segments changes no bit`, async (t) => {
    const model = await load(t, golden('qwen3'), { dtype, trainable: false });
    const [{ tokens }] = [{ tokens: pathTo(randomForest(20, { segments: 1 }), 0) }];
    const text = Int32Array.from({ length: 128 }, (_, i) => tokens[i % tokens.length]!);
    const whole = (await model.score([{ tokens: text }])).logProbs;
    for (const cut of [1, 2, 15, 16, 17, 63, 64, 65, 100, 127]) {
      const parts = [{ tokens: text.slice(0, cut) }, { tokens: text.slice(cut), parent: 0 }];
      assertBitEqual(t, (await model.score(parts)).logProbs, whole, `cut at ${cut}`);
      // An only child is computed as one with its parent; with a brother it is not.
      const scores = await model.score([...parts, { tokens: [1], parent: 0 }]);
      const own = [...scores.logProbsOf(0), ...scores.logProbsOf(1)];
      assertBitEqual(t, Float32Array.from(own), whole, `cut at ${cut}, with a brother`);
    }
    const single = Array.from(text, (token, i) => ({
      tokens: [token],
      ...(i > 0 ? { parent: i - 1 } : {}),
    }));
    assertBitEqual(t, (await model.score(single)).logProbs, whole, 'one token a segment');
  });
}

/** Two texts behind one prompt, cut into segments of one token that stand in turn in the list. */
const interleaved = (prompt: Int32Array, texts: readonly Int32Array[]): TokenSegment[] => {
  const forest: TokenSegment[] = [{ tokens: prompt, scored: false }];
  const last = texts.map(() => 0);
  for (let place = 0; place < texts[0]!.length; ++place) {
    texts.forEach((text, i) => {
      forest.push({ tokens: text.slice(place, place + 1), parent: last[i]! });
      last[i] = forest.length - 1;
    });
  }
  return forest;
};

for (const dtype of dtypes) {
  test(`${dtype}: chains that stand in turn in the list give what whole texts give`, async (t) => {
    const model = await load(t, golden('gpt2'), { dtype });
    const random = randomNumbers(30);
    const prompt = randomTokens(random, 9, 320);
    const texts = [randomTokens(random, 70, 320), randomTokens(random, 70, 320)];
    const whole = [
      { tokens: prompt, scored: false },
      ...texts.map((tokens) => ({ tokens, parent: 0 })),
    ];
    const chains = interleaved(prompt, texts);
    const coefficients = texts.map(() => randomFloats(random, 70));
    const inTurn = Float32Array.from({ length: 140 }, (_, i) => coefficients[i % 2]![i >> 1]!);
    const expected = await model.score(whole, { entropy: true });
    const scores = await model.score(chains, { entropy: true });
    texts.forEach((_, i) => {
      const own = (values: Float32Array) => values.filter((_value, at) => at % 2 === i);
      assertBitEqual(t, own(scores.logProbs), expected.logProbsOf(i + 1), `text ${i}`);
      assertBitEqual(t, own(scores.entropies), expected.entropiesOf(i + 1), `text ${i}`);
    });
    const gradients = (batch: readonly TokenSegment[], logProbs: Float32Array) =>
      gradientsFor(model, { batch, options: {}, coefficients: { logProbs } });
    const flat = Float32Array.from([...coefficients[0]!, ...coefficients[1]!]);
    // The head sums over scored rows in the list's order, hence not the same bits: see above.
    const { error, name } = worstTensor(
      await gradients(chains, inTurn),
      await gradients(whole, flat),
    );
    t.true(error < 1e-5, `${name} differs by ${error}`);
  });
}

test.serial('a text of a thousand segments costs what it costs as one', async (t) => {
  const config = { ...smallConfig('llama'), max_position_embeddings: 1024 };
  const model = owned(t, await LanguageModel.create(config, { trainable: false }));
  const tokens = Int32Array.from({ length: 1000 }, (_, i) => (i * 7) % 17);
  const chain = Array.from(tokens, (token, i) => ({
    tokens: [token],
    ...(i > 0 ? { parent: i - 1 } : {}),
  }));
  const run = async (batch: Parameters<LanguageModel['score']>[0]) => {
    const start = performance.now();
    await model.score(batch);
    return { time: performance.now() - start, bytes: model.bytes };
  };
  const [whole, cut] = [await run([{ tokens }]), await run(chain)];
  t.is(cut.bytes, whole.bytes);
  for (let again = 0; again < 4; ++again) {
    whole.time = Math.min(whole.time, (await run([{ tokens }])).time);
    cut.time = Math.min(cut.time, (await run(chain)).time);
  }
  // Packing takes a little per segment; a pass over all ancestors of each took 20 times as long.
  t.true(cut.time < 5 * whole.time, `${cut.time} ms against ${whole.time} ms`);
});
