// Measures of coverage against enumeration and closed forms.
import test from 'ava';
import {
  klBall,
  klBesideData,
  massOutside,
  maxRatio,
  offlineLogRatio,
  supportOf,
} from '../../src/evaluation/coverage.js';
import {
  ResponseSpace,
  exactKl,
  listResponses,
  logProbOf,
  noPrompt,
  tabularPolicy,
} from '../../src/policies/index.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { policyOver, spaces } from '../policies/helpers.js';

for (const [name, make] of Object.entries(spaces)) {
  test(`${name}: the largest ratio is the largest of all responses`, (t) => {
    const space = make();
    const [policy, reference] = [
      policyOver(space, 'tabular', { spread: 2 }),
      policyOver(space, 'tabular', { name: 'reference' }),
    ];
    const all = space.prompts.flatMap((_, prompt) =>
      listResponses(policy, prompt).map(({ tokens, logProb }) => ({
        prompt,
        tokens,
        logRatio: logProb - logProbOf(reference, prompt, tokens),
      })),
    );
    const expected = all.reduce((a, b) => (b.logRatio > a.logRatio ? b : a));
    const found = maxRatio(policy, reference);
    t.true(Math.abs(found.logRatio - expected.logRatio) < 1e-12);
    t.deepEqual([found.prompt, found.tokens], [expected.prompt, expected.tokens]);
  });
}

test('a product of 2^40 responses: the largest ratio is the sum of the tokens', (t) => {
  const space = ResponseSpace.product(Array.from({ length: 40 }, () => [0, 1]));
  const policy = tabularPolicy({ space, logits: (_, edge) => (edge % 2 === 0 ? 1 : 0) });
  const reference = tabularPolicy({ space });
  const each = 1 - Math.log1p(Math.E) + Math.LN2;
  t.true(Math.abs(maxRatio(policy, reference).logRatio - 40 * each) < 1e-9);
});

const skewed = () => {
  const space = ResponseSpace.of([[0], [1], [2]]);
  const reference = tabularPolicy({ space, logits: (_, response) => [0, 0, -10][response]! });
  const policy = tabularPolicy({ space, logits: (_, response) => [2, 0, -3][response]! });
  return { space, reference, policy };
};

test('KL ball: the bound is attained by the policy that puts all it may on the rarest response', (t) => {
  const { space, reference, policy } = skewed();
  const kl = exactKl(policy, reference);
  const near = klBall(policy, reference, 2 * kl);
  t.true(near.inside && !klBall(policy, reference, kl / 2).inside);
  t.true(near.logRatio <= near.bound);
  t.true(klBall(policy, reference, 0.1).bound < near.bound);
  // Give p to response 2 and leave the others in proportion: the KL is that of two outcomes.
  const logQ = reference.edgeLogProbs(0)[2]!;
  const p = Math.exp(near.bound + logQ);
  const rest = Math.log1p(-p) - Math.LN2;
  const extreme = tabularPolicy({ space, logits: (_, i) => (i === 2 ? Math.log(p) : rest) });
  t.true(Math.abs(exactKl(extreme, reference) - 2 * kl) < 1e-9);
  // Beyond -log q nats anything is possible.
  t.true(Math.abs(klBall(policy, reference, 40).bound + logQ) < 1e-12);
});

const data = (...responses: number[]) => [
  { prompt: noPrompt, responses: responses.map((token) => Int32Array.of(token)) },
];

test('support: what the data covers, and for how many samples of the policy it stands', (t) => {
  const space = ResponseSpace.of([[0], [1], [2], [3]]);
  const uniform = tabularPolicy({ space });
  const half = supportOf(uniform, data(0, 1, 1, 0));
  t.like(half, { distinct: 2, covered: 0.5, outside: 0.5 });
  t.true(Math.abs(half.effective - 2) < 1e-12);
  // The data is uniform on its support, as the policy is there: all four samples count.
  t.true(Math.abs(half.effectiveSamples - 4) < 1e-12);
  t.is(massOutside(uniform, data(0, 1, 2, 3)), 0);
  const sharp = tabularPolicy({ space, logits: (_, i) => (i === 0 ? 50 : 0) });
  const found = supportOf(sharp, data(0, 1, 2, 3));
  t.true(found.effective < 1 + 1e-9 && Math.abs(found.effectiveSamples - 1) < 1e-9);
  t.true(massOutside(sharp, data(1, 2, 3)) > 1 - 1e-12);
  // Two groups of one prompt are one set; prompts are averaged.
  t.deepEqual(supportOf(uniform, [...data(0, 1), ...data(1, 0)]), half);
});

test('the log-ratio on data is not the KL: it may fall while the KL rises', async (t) => {
  const { policy, reference } = skewed();
  const away = policy.withParameters(Float64Array.of(0, 0, 20));
  const { onData, kl } = await klBesideData(away, reference, data(0, 1));
  t.true(kl > 9 && onData.mean < -10, `${kl} and ${onData.mean}`);
  t.is(kl, exactKl(away, reference));
  // All responses in proportion to the policy: the same quantity, as f32.
  const estimate = await offlineLogRatio(policy, reference, data(0));
  const logs = [policy, reference].map((one) => one.edgeLogProbs(0)[0]!);
  t.true(Math.abs(estimate.mean - (logs[0]! - logs[1]!)) < 1e-6);
});

test('what cannot be measured is refused', async (t) => {
  const { policy, reference } = skewed();
  const other = skewed().policy;
  assertError(
    t,
    await caught(() => maxRatio(policy, other)),
    'OPTION_INVALID',
    'one ResponseSpace',
  );
  assertError(t, await caught(() => klBall(policy, reference, 0)), 'OPTION_INVALID', 'radius');
  assertError(t, await caught(() => supportOf(policy, [])), 'OPTION_INVALID', 'empty');
});
