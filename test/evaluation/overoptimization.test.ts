// Fits of over-optimisation on curves whose coefficients are known.
import test from 'ava';
import {
  type OveroptimizationLaw,
  type ScoredDistance,
  fitLaw,
  fitPoints,
  lawPeak,
  scoreAt,
  slopeAt,
} from '../../src/evaluation/overoptimization.js';
import { random } from '../../src/data/random.js';

const laws: readonly OveroptimizationLaw[] = ['rl', 'best-of-n'];
const distances = Array.from({ length: 24 }, (_, i) => 0.25 * (i + 1));

const curve = (
  law: OveroptimizationLaw,
  alpha: number,
  beta: number,
  noise: (i: number) => number = () => 0,
): ScoredDistance[] =>
  distances.map((distance, i) => ({
    distance,
    score: scoreAt(law, { alpha, beta }, distance) + noise(i),
  }));

const noiseOf = (deviation: number, seed: number) => {
  const stream = random(seed, 'noise');
  return () => deviation * stream.gaussian();
};

test('coefficients of a curve without noise come back, with no interval around them', (t) => {
  for (const law of laws) {
    for (const [alpha, beta] of [
      [0.8, 0.3],
      [0.5, -0.1],
      [2, 0],
    ] as const) {
      const fit = fitPoints(curve(law, alpha, beta), law, { resamples: 200 });
      // Rounding of sums of some 24 products.
      const near = (a: number, b: number): boolean => Math.abs(a - b) < 1e-9;
      t.true(near(fit.alpha, alpha) && near(fit.beta, beta), `${law}: ${fit.alpha}, ${fit.beta}`);
      t.true(fit.alphaInterval.every((edge) => near(edge, alpha)));
      t.true(fit.betaInterval.every((edge) => near(edge, beta)));
      t.true(fit.rSquared! > 1 - 1e-9);
      t.is(fit.points, distances.length);
    }
  }
});

test('the laws by hand', (t) => {
  t.is(scoreAt('rl', { alpha: 2, beta: 1 }, 0), 0);
  t.is(scoreAt('rl', { alpha: 2, beta: 1 }, 1), 2); // log 1 is 0
  t.true(Math.abs(scoreAt('rl', { alpha: 2, beta: 1 }, Math.E) - Math.E) < 1e-12);
  t.is(scoreAt('best-of-n', { alpha: 2, beta: 0.5 }, 2), 2);
  t.is(scoreAt('best-of-n', { alpha: 2, beta: 0.5 }, 4), 0);
});

test('the slope is the derivative, and it is below 0 past the peak', (t) => {
  for (const law of laws) {
    const coefficients = { alpha: 1, beta: 0.6 };
    for (const distance of [0.5, 2, 5]) {
      const [before, after] = [distance - 1e-6, distance + 1e-6].map((d) =>
        scoreAt(law, coefficients, d),
      ) as [number, number];
      // Central differences of 1e-6: rounding leaves nine digits.
      t.true(Math.abs((after - before) / 2e-6 - slopeAt(law, coefficients, distance)) < 1e-8);
    }
    const turned = fitPoints(curve(law, 1, 0.6, noiseOf(0.05, 2)), law, { resamples: 200 });
    t.true(turned.lastSlopeInterval[1] < 0);
    const rising = fitPoints(curve(law, 1, 0.01, noiseOf(0.05, 2)), law, { resamples: 200 });
    t.true(rising.lastSlopeInterval[0] > 0);
  }
});

test('the peak is where the law is highest, and there is none where it only rises', (t) => {
  for (const law of laws) {
    const coefficients = { alpha: 1, beta: 0.6 };
    const { distance, score } = lawPeak(law, coefficients)!;
    for (const beside of [0.9, 0.99, 1.01, 1.1]) {
      t.true(scoreAt(law, coefficients, beside * distance) < score);
    }
    t.is(lawPeak(law, { alpha: 1, beta: 0 }), null);
    t.is(lawPeak(law, { alpha: 1, beta: -0.2 }), null);
  }
  t.is(lawPeak('best-of-n', { alpha: -1, beta: 0.2 }), null);
});

test('with noise the interval is as wide as least squares says, and has the truth', (t) => {
  const deviation = 0.1;
  for (const law of laws) {
    const points = curve(law, 0.8, 0.3, noiseOf(deviation, 3));
    const fit = fitPoints(points, law);
    t.true(fit.alphaInterval[0] < 0.8 && fit.alphaInterval[1] > 0.8);
    t.true(fit.betaInterval[0] < 0.3 && fit.betaInterval[1] > 0.3);
    // Variance of beta: s^2 a / (a c - b^2) of the normal equations.
    const columns = distances.map((d) => [d, law === 'rl' ? d * Math.log(d) : d * d] as const);
    const sum = (i: 0 | 1, j: 0 | 1) => columns.reduce((s, row) => s + row[i] * row[j], 0);
    const error =
      deviation * Math.sqrt(sum(0, 0) / (sum(0, 0) * sum(1, 1) - sum(0, 1) * sum(0, 1)));
    const half = (fit.betaInterval[1] - fit.betaInterval[0]) / 2;
    // 24 points give the bootstrap's width, and the sample's own noise, to about a third.
    t.true(half > 1.96 * error * 0.6 && half < 1.96 * error * 1.5, `${law}: ${half}, ${error}`);
  }
});

test('a straight line is seldom taken for over-optimisation', (t) => {
  for (const law of laws) {
    const covered = Array.from({ length: 60 }, (_, seed) => {
      const points = curve(law, 0.8, 0, noiseOf(0.1, seed));
      const { betaInterval } = fitPoints(points, law, { resamples: 200 });
      return Number(betaInterval[0] < 0 && betaInterval[1] > 0);
    });
    const share = covered.reduce((sum, value) => sum + value, 0) / covered.length;
    // Percentile intervals of 24 points cover a little less than 95 %; 60 draws know it to 0.03.
    t.true(share > 0.83, `${law}: ${share}`);
  }
});

test('items are what is resampled: equal prompts leave no doubt, unequal ones do', (t) => {
  const pointsOf = (prompts: readonly number[]): ScoredDistance[] => {
    const mean = prompts.reduce((sum, prompt) => sum + prompt, 0) / prompts.length;
    return curve('rl', mean, 0.3);
  };
  const equal = fitLaw([1, 1, 1, 1], pointsOf, 'rl', { resamples: 200 });
  t.true(equal.alphaInterval[1] - equal.alphaInterval[0] < 1e-9);
  const unequal = fitLaw([0, 2, 0, 2], pointsOf, 'rl', { resamples: 500 });
  t.true(Math.abs(unequal.alpha - 1) < 1e-9);
  t.true(unequal.alphaInterval[0] < 0.51 && unequal.alphaInterval[1] > 1.49);
});

test('points at the start say nothing, and the same call gives the same numbers', (t) => {
  const points = curve('rl', 0.8, 0.3, noiseOf(0.1, 7));
  const once = fitPoints(points, 'rl', { resamples: 100 });
  const more = fitPoints([...points, { distance: 0, score: 0 }], 'rl', { resamples: 100 });
  t.is(more.alpha, once.alpha);
  t.is(more.points, once.points);
  t.deepEqual(fitPoints(points, 'rl', { resamples: 100 }), once);
});

test('what cannot be fitted is refused', (t) => {
  const refused = { code: 'OPTION_INVALID' };
  t.throws(() => fitPoints([], 'rl'), refused);
  t.throws(() => fitPoints([{ distance: 1, score: 1 }], 'rl'), refused);
  const twice = [0.4, 0.6].map((score) => ({ distance: 2, score }));
  t.throws(() => fitPoints(twice, 'best-of-n'), { ...refused, message: /two distances/ });
  const [first] = curve('rl', 1, 1) as [ScoredDistance];
  t.throws(() => fitPoints([first, { distance: -1, score: 0 }], 'rl'), refused);
  t.throws(() => fitPoints([first, { distance: 1, score: NaN }], 'rl'), refused);
  t.throws(() => fitPoints(curve('rl', 1, 1), 'bon' as 'rl'), { ...refused, message: /bon/ });
  t.throws(() => fitPoints(curve('rl', 1, 1), 'rl', { sample: 3 } as object), refused);
});
