// Softmax, entropy and their gradients over a vocabulary that no tile divides (31), and draws
// through filters with the probabilities that are said of them (10).
import test from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { smallConfig } from '../checkpoint/helpers.js';
import { odd, owned } from '../helpers/models.js';

const vocabulary = 1031; // a prime
const everyToken = (count: number) => [
  { tokens: [5, 9], scored: false },
  ...Array.from({ length: count }, (_, token) => ({ tokens: [token], parent: 0 })),
];

for (const dtype of ['f32', 'bf16'] as const) {
  test(`${dtype}: ${vocabulary} probabilities add up, to an entropy and to no gradient`, async (t) => {
    const config = { ...smallConfig('llama'), vocab_size: vocabulary, initializer_range: 0.5 };
    const model = owned(t, await LanguageModel.create(config, { dtype, seed: 2 }));
    const batch = everyToken(vocabulary);
    const scores = await model.score(batch, { entropy: true });
    const logProbs = Array.from(scores.logProbs);
    t.is(logProbs.length, vocabulary);
    // Log-probabilities are f32, also of a bf16 model: 1e-7 of about 7 nats, each.
    t.true(Math.abs(logProbs.reduce((sum, log) => sum + Math.exp(log), 0) - 1) < 1e-5);
    const entropy = -logProbs.reduce((sum, log) => sum + Math.exp(log) * log, 0);
    t.true(Math.abs(scores.entropies[7]! - entropy) < 1e-4, `${scores.entropies[7]} ${entropy}`);

    const normOf = async (coefficients: (token: number) => number): Promise<number> => {
      await model.zeroGradients();
      using pass = await model.forward(batch);
      await pass.backward({ logProbs: Float32Array.from(logProbs, (_, i) => coefficients(i)) });
      return await model.gradNorm();
    };
    // The sum over tokens of p d(log p) is d(1) = 0: every term of the softmax's gradient counts.
    const none = await normOf((token) => Math.exp(logProbs[token]!));
    const half = await normOf((token) => (token % 2 === 0 ? Math.exp(logProbs[token]!) : 0));
    // Coefficients pass through bf16 in a bf16 model: 2^-9 of each, of random sign.
    t.true(none < (dtype === 'f32' ? 1e-5 : 2e-2) * half, `${none} of ${half}`);
  });
}

const settings = [
  { temperature: 0.7 },
  { temperature: 1.3 },
  { topK: 5 },
  { topP: 0.9 },
  { minP: 0.1 },
  { temperature: 1.3, topK: 5, topP: 0.8 },
];

for (const filter of settings) {
  test(`draws with ${JSON.stringify(filter)} follow the processed log-probabilities`, async (t) => {
    const model = await odd(t, 'llama', { seed: 3 });
    const prompt = [5, 9];
    const { logProbs } = await model.score(everyToken(17));
    const samples = 20_000;
    const drawn = await model.generate([prompt], {
      ...filter,
      samples,
      maxNewTokens: 1,
      stopTokens: [],
      maxBatch: 5000,
      seed: 4,
    });
    const counts = new Map<number, number>();
    const processed = new Map<number, number>();
    for (const { tokens, logProbs: raw, processedLogProbs } of drawn) {
      const token = tokens[0]!;
      counts.set(token, (counts.get(token) ?? 0) + 1);
      processed.set(token, processedLogProbs[0]!);
      t.is(raw[0], logProbs[token], "the model's own log-probability stays its own");
    }
    // The kept set by its definition, in double.
    const {
      temperature = 1,
      topK = 17,
      topP = 1,
      minP = 0,
    } = filter as {
      temperature?: number;
      topK?: number;
      topP?: number;
      minP?: number;
    };
    const ranked = [...logProbs.keys()].sort((a, b) => logProbs[b]! - logProbs[a]!);
    const normalised = (tokens: readonly number[]): Map<number, number> => {
      const weights = tokens.map((token) => Math.exp(logProbs[token]! / temperature));
      const total = weights.reduce((a, b) => a + b, 0);
      return new Map(tokens.map((token, i) => [token, weights[i]! / total]));
    };
    const top = [...normalised(ranked.slice(0, topK))];
    let mass = 0;
    const kept = top.filter(([, p]) => {
      const isKept = mass < topP && p >= minP * top[0]![1];
      mass += p;
      return isKept;
    });
    const expected = normalised(kept.map(([token]) => token));
    let chiSquare = 0;
    for (const [token, p] of expected) {
      chiSquare += ((counts.get(token) ?? 0) - samples * p) ** 2 / (samples * p);
      const said = processed.get(token);
      // Rare tokens may not have been drawn; f32 sums otherwise.
      if (said === undefined) t.true(samples * p < 12);
      else t.true(Math.abs(said - Math.log(p)) < 1e-5, `token ${token}`);
    }
    t.deepEqual(
      [...counts.keys()].filter((token) => !expected.has(token)),
      [],
    );
    // Up to 16 degrees of freedom: above 45 by chance once in 7,000 seeds; the seed is fixed.
    t.true(chiSquare < 45, `chi-square ${chiSquare}`);
  });
}
