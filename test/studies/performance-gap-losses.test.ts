// Other losses, HyPO, the size of the proxy and its over-optimisation: arithmetic with known answers.
import test from 'ava';
import { random } from '../../src/data/random.js';
import type { FrontierPoint } from '../../src/evaluation/frontier.js';
import { scoreAt } from '../../src/evaluation/overoptimization.js';
import {
  type BestOfNValues,
  bestOfNOfPrompt,
  bestOfNSizes,
} from '../../src/studies/performance-gap/best-of-n.js';
import {
  bestOfNCurvesOf,
  gaoSignatures,
  onlineCurves,
} from '../../src/studies/performance-gap/experiments/gao.js';
import {
  type HypoClouds,
  hypoSignatures,
  shareOfGap,
} from '../../src/studies/performance-gap/experiments/hypo.js';
import { lossGaps, lossSignatures } from '../../src/studies/performance-gap/experiments/losses.js';
import {
  proxySignatures,
  slopeOf,
} from '../../src/studies/performance-gap/experiments/proxy-size.js';
import type { Point } from '../../src/studies/performance-gap/measure.js';
import { listening, preferenceScore } from '../../src/studies/performance-gap/preference-score.js';

const prompts = 200;

/** A checkpoint that wins at random with this probability; equal seeds win at the same prompts. */
const point = (rate: number, kl = 1): FrontierPoint => {
  const stream = random(1, 'outcomes');
  const outcomes = Array.from({ length: prompts }, () => Number(stream.uniform() < rate));
  const winRate = outcomes.reduce((sum, outcome) => sum + outcome, 0) / prompts;
  return { kl, winRate, run: `run ${rate}`, step: 1, seed: 1, outcomes };
};

const verdictsOf = (signatures: readonly { readonly id: string; readonly verdict: string }[]) =>
  Object.fromEntries(signatures.map(({ id, verdict }) => [id, verdict]));

const levelsOf = (rates: readonly number[]) =>
  rates.map((rate, i) => ({ parameters: 10 ** (i + 4), accuracy: 0.8, cloud: [point(rate)] }));

test('S1.16: peaks have to rise at every step', (t) => {
  const rising = proxySignatures(levelsOf([0.4, 0.55, 0.7]));
  t.deepEqual(verdictsOf(rising), { 'S1.16': 'holds', 'S1.16b': 'holds' });
  // Of the last three sizes one falls, though the trend is up.
  const bent = proxySignatures(levelsOf([0.3, 0.7, 0.55, 0.8]));
  t.deepEqual(verdictsOf(bent), { 'S1.16': 'does not hold', 'S1.16b': 'holds' });
  const falling = proxySignatures(levelsOf([0.7, 0.55, 0.4]));
  t.deepEqual(verdictsOf(falling), { 'S1.16': 'does not hold', 'S1.16b': 'does not hold' });
  const two = proxySignatures(levelsOf([0.4, 0.7]));
  t.deepEqual(verdictsOf(two), { 'S1.16': 'not tested', 'S1.16b': 'not tested' });
});

test('the trend is in win rate for each tenfold', (t) => {
  t.true(Math.abs(slopeOf([4, 5, 6], [0.2, 0.3, 0.4]) - 0.1) < 1e-12);
  t.is(slopeOf([4, 5, 6], [0.5, 0.5, 0.5]), 0);
});

test('gaps by loss, with those that show and those that do not', (t) => {
  const losses = [
    { loss: 'ipo', online: [point(0.6)], offline: [point(0.3)] },
    { loss: 'dpo', online: [point(0.6)], offline: [point(0.3)] },
    { loss: 'slic', online: [point(0.4)], offline: [point(0.4)] },
    { loss: 'rloo', online: [point(0.2)], offline: [point(0.3)] },
    { loss: 'ppo', online: [point(0.5)], offline: [point(0.3)] },
  ] as const;
  t.deepEqual(verdictsOf(lossSignatures(losses)), {
    B2: 'holds',
    B3: 'does not hold',
    B4: 'does not hold',
    B5: 'holds',
  });
  const [first] = lossGaps(losses);
  t.is(first!.gap.value, first!.online.value - first!.offline.value);
});

const hypoClouds = (rates: readonly [number, number], own: readonly number[]): HypoClouds => ({
  base: 'ipo',
  offline: [point(rates[0])],
  online: [point(rates[1])],
  levels: own.map((rate, i) => ({ lambda: 0.01 * (i + 1), cloud: [point(rate)] })),
});

test('the share of the gap that HyPO closes', (t) => {
  const clouds = hypoClouds([0.2, 0.6], [0.5]);
  const { value, interval } = shareOfGap(clouds.levels[0]!.cloud, clouds)!;
  const [a, b, own] = [0.2, 0.6, 0.5].map((rate) => point(rate).winRate) as [
    number,
    number,
    number,
  ];
  t.true(Math.abs(value - (own - a) / (b - a)) < 1e-12);
  t.true(interval[0] < value && interval[1] > value);
  t.is(shareOfGap(clouds.offline, clouds)!.value, 0);
  t.is(shareOfGap(clouds.online, clouds)!.value, 1);
  // There is nothing to close where online is not better.
  t.is(shareOfGap(clouds.online, hypoClouds([0.5, 0.5], [0.5])), null);
  t.is(shareOfGap(clouds.online, hypoClouds([0.6, 0.3], [0.5])), null);
});

test('HyPO closes the gap, does not, or has none to close', (t) => {
  const of = (...[rates, own]: Parameters<typeof hypoClouds>) =>
    verdictsOf(hypoSignatures(hypoClouds(rates, own)));
  t.deepEqual(of([0.2, 0.6], [0.3, 0.58]), { B6a: 'holds', B6b: 'holds' });
  t.deepEqual(of([0.2, 0.6], [0.1, 0.2]), { B6a: 'does not hold', B6b: 'does not hold' });
  t.deepEqual(of([0.4, 0.4], [0.4, 0.4]), { B6a: 'does not hold', B6b: 'not tested' });
});

const measured = (kl: number, score: number): Point => ({
  step: 1,
  kl,
  klError: 0,
  winRate: 0.2 + score / 10,
  outcomes: '',
  proxyWinRate: 0.3,
  score: score - 2,
  proxyScore: kl,
  accuracy: 0.5,
  chosenDrift: 0,
  chosenDriftError: 0,
  rejectedDrift: 0,
  length: 1,
  truncated: 0,
});

const unit = { golden: 1, proxy: 1 };

const onlineRun = (alpha: number, beta: number, noise: number) => {
  const stream = random(2, 'scores');
  const kls = Array.from({ length: 20 }, (_, i) => (0.2 * (i + 1)) ** 2);
  const points = kls.map((kl) =>
    measured(kl, scoreAt('rl', { alpha, beta }, Math.sqrt(kl)) + noise * stream.gaussian()),
  );
  return { start: measured(0, 0), points, spread: unit };
};

test('online arms: scores count from the start policy, and the law is found in them', (t) => {
  const curves = onlineCurves([onlineRun(0.8, 0.5, 0), onlineRun(0.8, 0.5, 0)]);
  const { goldenScore, goldenWin, proxyWin } = curves;
  t.is(goldenScore.points.length, 40);
  t.true(Math.abs(goldenScore.fit!.alpha - 0.8) < 1e-9);
  t.true(Math.abs(goldenScore.fit!.beta - 0.5) < 1e-9);
  t.true(Math.abs(goldenWin.fit!.alpha - 0.08) < 1e-9);
  t.true(proxyWin.points.every(({ score }) => score === 0));
  t.is(
    onlineCurves([{ start: measured(0, 0), points: [measured(1, 1)], spread: unit }]).goldenScore
      .fit,
    null,
  );
});

test('B1: the golden score flattens and turns, rises evenly, or has too few points', (t) => {
  const of = (beta: number, noise: number) =>
    verdictsOf(gaoSignatures({ online: onlineCurves([onlineRun(0.8, beta, noise)]) }));
  t.deepEqual(of(0.5, 0.05), { B1a: 'holds', B1b: 'holds' });
  t.deepEqual(of(0.2, 0.02), { B1a: 'holds', B1b: 'does not hold' });
  t.deepEqual(of(0, 0.3), { B1a: 'undetermined', B1b: 'does not hold' });
  t.deepEqual(of(-0.5, 0.05), { B1a: 'does not hold', B1b: 'does not hold' });
  const few = onlineCurves([{ start: measured(0, 0), points: [measured(1, 1)], spread: unit }]);
  t.deepEqual(verdictsOf(gaoSignatures({ online: few })), { B1a: 'not tested', B1b: 'not tested' });
});

test('best-of-n of a prompt, by the proxy', (t) => {
  const count = Math.max(...bestOfNSizes);
  const choice = Array.from({ length: count }, (_, i) => i);
  const golden = choice.map((i) => ({ win: Number(i >= count / 2), score: i }));
  const proxy = choice.map((i) => ({ win: 1, score: -i }));
  const { goldenWin, goldenScore, proxyWin, proxyScore } = bestOfNOfPrompt(choice, golden, proxy);
  t.deepEqual(
    proxyWin.map(Math.round),
    bestOfNSizes.map(() => 1),
  );
  bestOfNSizes.forEach((n, i) => {
    // The largest of n of 0 … N - 1 without replacement: n (N + 1) / (n + 1) - 1.
    const largest = (n * (count + 1)) / (n + 1) - 1;
    t.true(Math.abs(goldenScore[i]! - largest) < 1e-9, String(n));
    t.true(Math.abs(proxyScore[i]! + largest) < 1e-9);
  });
  t.true(Math.abs(goldenWin[0]! - 0.5) < 1e-12);
  // Both of the lower half: (16 * 15) / (32 * 31).
  t.true(Math.abs(goldenWin[1]! - (1 - (16 * 15) / (32 * 31))) < 1e-12);
  t.true(Math.abs(goldenWin.at(-1)! - 1) < 1e-12);
});

test('best-of-n curves: prompts are averaged, n = 1 is the zero, the law is found', (t) => {
  const law = { alpha: 1, beta: 0.4 };
  const kl = (n: number): number => Math.log(n) - (n - 1) / n;
  const rows = bestOfNSizes.map((n) =>
    [-1, 0, 1].map((prompt) => 5 + prompt + scoreAt('best-of-n', law, Math.sqrt(kl(n)))),
  );
  const values: BestOfNValues = {
    goldenWin: rows,
    goldenScore: rows,
    proxyWin: rows,
    proxyScore: rows.map((row) => row.map(() => 3)),
  };
  const { goldenScore, proxyScore } = bestOfNCurvesOf([
    { values, spread: unit },
    { values, spread: unit },
  ]);
  const halved = bestOfNCurvesOf([{ values, spread: { golden: 2, proxy: 1 } }]);
  t.true(Math.abs(halved.goldenScore.fit!.alpha - 0.5) < 1e-9);
  t.true(Math.abs(halved.goldenWin.fit!.alpha - 1) < 1e-9);
  t.true(Math.abs(goldenScore.fit!.alpha - 1) < 1e-9);
  t.true(Math.abs(goldenScore.fit!.beta - 0.4) < 1e-9);
  t.is(goldenScore.points[0]!.score, 0);
  t.true(proxyScore.points.every(({ score }) => score === 0));
});

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

test('the preference score is a difference of rewards under Bradley-Terry', (t) => {
  const verdict = (a: number, b: number) => ({
    preference: Number(a > b),
    orders: [logistic(a - b), logistic(b - a)] as const,
  });
  t.true(Math.abs(preferenceScore(verdict(3, 1))! - 2) < 1e-9);
  t.true(Math.abs(preferenceScore(verdict(1, 3))! + 2) < 1e-9);
  // What the place adds to both orders falls out.
  const biased = { preference: 1, orders: [logistic(2 + 0.7), logistic(-2 + 0.7)] as const };
  t.true(Math.abs(preferenceScore(biased)! - 2) < 1e-9);
  t.is(preferenceScore({ preference: null }), null);
  t.true(Number.isFinite(preferenceScore({ preference: 1 })));
});

const identity = { kind: 'pair', role: 'proxy', name: 'test', version: '1' } as const;

test('a judge that is listened to answers as before', async (t) => {
  const heard = listening({
    ...identity,
    compare: (requests) =>
      Promise.resolve(requests.map((_, i) => ({ preference: i === 0 ? null : logistic(i) }))),
  });
  t.is(heard.mean(), 0);
  const response = { text: '', tokens: new Int32Array(), truncated: false };
  const request = { prompt: '', promptTokens: new Int32Array(), first: response, second: response };
  const verdicts = await heard.judge.compare([request, request, request]);
  t.is(verdicts[0]!.preference, null);
  t.true(Math.abs(heard.mean() - 1.5) < 1e-9); // 1 and 2; the failure counts in no mean
});
