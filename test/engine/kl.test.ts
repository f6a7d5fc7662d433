// Exact KL over the whole vocabulary, against sums over every next token.
import test from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { assertError, caught, smallConfig } from '../checkpoint/helpers.js';
import { randomForest, resultsOf } from '../helpers/forests.js';
import { golden, load, owned } from '../helpers/models.js';

const vocab = 17;
const context = [3, 1, 4, 1, 5, 9];

const random = (t: Parameters<typeof load>[0], seed: number): Promise<LanguageModel> =>
  LanguageModel.create({ ...smallConfig('llama'), initializer_range: 0.4 }, { seed }).then(
    (model) => owned(t, model),
  );

/** log p(. | context up to each position), a row of the vocabulary each. */
const distributions = async (model: LanguageModel): Promise<Float32Array[]> => {
  const chain = context.slice(0, -1).map((token, i) => ({
    tokens: [token],
    scored: false,
    ...(i > 0 ? { parent: i - 1 } : {}),
  }));
  const children = chain.flatMap((_, parent) =>
    Array.from({ length: vocab }, (_, token) => ({ tokens: [token], parent })),
  );
  const { logProbs } = await model.score([...chain, ...children]);
  return chain.map((_, i) => logProbs.slice(i * vocab, (i + 1) * vocab));
};

test('KL is the sum over the vocabulary', async (t) => {
  const [p, q] = [await random(t, 1), await random(t, 2)];
  const [rowsP, rowsQ] = [await distributions(p), await distributions(q)];
  const { kl, offsets } = await p.kl(q, [{ tokens: context }]);
  t.deepEqual([...offsets], [0, 5]);
  kl.forEach((value, i) => {
    const expected = rowsP[i]!.reduce((sum, lp, v) => sum + Math.exp(lp) * (lp - rowsQ[i]![v]!), 0);
    t.true(expected > 0.01, 'models that differ');
    // Seventeen f32 terms.
    t.true(Math.abs(value - expected) < 1e-5, `position ${i}: ${value}, expected ${expected}`);
  });
});

for (const dtype of ['f32', 'bf16'] as const) {
  test(`${dtype}: KL of a model to itself is zero, to a changed one positive`, async (t) => {
    const model = await load(t, golden('llama'), { dtype });
    const copy = owned(t, await model.clone());
    const forest = randomForest(30);
    const count = forest.reduce((sum, segment) => sum + resultsOf(segment), 0);
    const same = (await model.kl(copy, forest)).kl;
    t.is(same.length, count);
    // Both rows of logits have the same bits, so each term is p times 0: exactly zero.
    t.true(
      same.every((x) => x === 0),
      `largest ${Math.max(...same)}`,
    );
    const pass = await copy.forward(forest);
    await pass.backward({ logProbs: new Float32Array(count).fill(1) });
    await copy.step({ learningRate: 1e-2 });
    const changed = (await model.kl(copy, forest)).kl;
    t.true(changed.every((x) => x > 0));
  });
}

test('KL does not depend on the batch', async (t) => {
  const [p, q] = [await random(t, 3), await random(t, 4)];
  const alone = await p.kl(q, [{ tokens: context }]);
  const company = await p.kl(q, [{ tokens: [2, 2, 7] }, { tokens: context }, { tokens: [1, 1] }]);
  t.deepEqual(company.kl.slice(company.offsets[1], company.offsets[2]), alone.kl);
});

test('KL needs one vocabulary and two living models', async (t) => {
  const p = await random(t, 5);
  const other = await LanguageModel.create({ ...smallConfig('llama'), vocab_size: 18 });
  const batch = [{ tokens: [1, 2] }];
  assertError(t, await caught(() => p.kl(other, batch)), 'OPTION_INVALID', '17 and 18');
  await other.dispose();
  assertError(t, await caught(() => p.kl(other, batch)), 'DISPOSED');
});
