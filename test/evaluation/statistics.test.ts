// Intervals and tests against closed forms, enumerations and their own coverage.
import test from 'ava';
import {
  bootstrapInterval,
  estimate,
  mean,
  normalCdf,
  normalQuantile,
  pairedTest,
  quantile,
  twoProportionTest,
  wilsonInterval,
} from '../../src/evaluation/statistics.js';
import { random } from '../../src/data/random.js';
import { assertError, caught } from '../checkpoint/helpers.js';

const near = (a: number, b: number, tolerance: number): boolean =>
  Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b));

test('the normal distribution', (t) => {
  // erfc of Python's math module.
  const values = [
    [-1.3, 0.09680048458561036],
    [0, 0.5],
    [-3.9, 4.809634401760275e-5],
    [-6, 9.865876450377012e-10],
    [-10, 7.619853024160593e-24],
  ] as const;
  for (const [x, p] of values) {
    // Both branches hold double precision, but for cancellation at 0.5 less the series.
    t.true(Math.abs(normalCdf(x) - p) < Math.max(1e-15, 1e-12 * p), `${x}`);
    t.true(near(normalCdf(-x), 1 - p, 1e-15));
  }
  t.true(Math.abs(normalQuantile(0.975) - 1.959963984540054) < 1e-12);
  t.true(Math.abs(normalQuantile(0.0005) + 3.2905267314918945) < 1e-9);
});

test('mean and standard error', (t) => {
  const { mean: middle, standardError, count } = estimate([1, 2, 3, 4]);
  t.deepEqual([middle, count], [2.5, 4]);
  t.true(near(standardError!, Math.sqrt(5 / 3 / 4), 1e-15));
  t.deepEqual(estimate([7]), { mean: 7, standardError: null, count: 1 });
});

test("Wilson's interval", async (t) => {
  const cases = [
    [5, 10, 0.236593090512564, 0.7634069094874361],
    [0, 10, 0, 0.2775327998628892],
    [81, 263, 0.2552885198782742, 0.36620957698280004],
  ] as const;
  for (const [k, n, low, high] of cases) {
    const [a, b] = wilsonInterval(k, n);
    t.true(near(a, low, 1e-12) && near(b, high, 1e-12));
    const [c, d] = wilsonInterval(n - k, n);
    t.true(near(c, 1 - high, 1e-12) && near(d, 1 - low, 1e-12));
  }
  assertError(t, await caught(() => wilsonInterval(0, 0)), 'OPTION_INVALID', 'empty');
  assertError(t, await caught(() => wilsonInterval(1, 2, 95)), 'OPTION_INVALID', 'level', '95');
});

test('intervals cover the truth as often as they say', (t) => {
  const [p, n, trials] = [0.3, 60, 400];
  let [wilson, bootstrap] = [0, 0];
  for (let trial = 0; trial < trials; trial += 1) {
    const stream = random(1, 'coverage', trial);
    const draws = Array.from({ length: n }, () => Number(stream.uniform() < p));
    const covers = ([low, high]: readonly [number, number]) => Number(low <= p && p <= high);
    wilson += covers(
      wilsonInterval(
        draws.reduce((a, b) => a + b),
        n,
        0.9,
      ),
    );
    const options = { level: 0.9, resamples: 200, seed: trial };
    bootstrap += covers(bootstrapInterval(draws, mean, options));
  }
  // 400 trials of 0.9: a standard deviation of 0.015; percentile intervals are a little short.
  t.true(Math.abs(wilson / trials - 0.9) < 0.045, `Wilson ${wilson / trials}`);
  t.true(Math.abs(bootstrap / trials - 0.9) < 0.06, `bootstrap ${bootstrap / trials}`);
});

test('resampling is a function of its seed', (t) => {
  const values = Array.from({ length: 30 }, (_, i) => Math.sin(i));
  const run = (seed: number, ...keys: string[]) => bootstrapInterval(values, mean, { seed, keys });
  t.deepEqual(run(4), run(4));
  t.notDeepEqual(run(4), run(5));
  t.notDeepEqual(run(4), run(4, 'other'));
});

test('quantiles interpolate between order statistics', async (t) => {
  t.deepEqual(
    [0, 0.25, 0.5, 1].map((p) => quantile([4, 1, 3, 2], p)),
    [1, 1.75, 2.5, 4],
  );
  assertError(t, await caught(() => quantile([1], 1.5)), 'OPTION_INVALID', '1.5');
});

test('two proportions', (t) => {
  const first = { successes: 45, count: 100 };
  const second = { successes: 30, count: 120 };
  const { difference, interval, pValue } = twoProportionTest(first, second);
  t.true(near(difference, 0.2, 1e-15));
  // By hand: pooled 75/220, z = 0.2 / sqrt(75/220 * 145/220 * (1/100 + 1/120)).
  const z = 0.2 / Math.sqrt((75 / 220) * (145 / 220) * (1 / 100 + 1 / 120));
  t.true(near(pValue, 2 * normalCdf(-z), 1e-12) && pValue < 0.01);
  t.true(interval[0] > 0 && interval[1] < 0.4);
  t.is(twoProportionTest(first, first).pValue, 1);
  const none = { successes: 0, count: 5 };
  t.is(twoProportionTest(none, none).pValue, 1);
});

test('the sign-flip test agrees with all sign patterns', async (t) => {
  const first = [3, 1, 4, 1, 5, 9, 2, 6];
  const second = [2, 0, 4, 2, 1, 3, 1, 2];
  const differences = first.map((a, i) => a - second[i]!);
  const observed = Math.abs(differences.reduce((a, b) => a + b));
  let asFar = 0;
  for (let signs = 0; signs < 256; signs += 1) {
    const flipped = differences.reduce((sum, d, i) => sum + ((signs >> i) & 1 ? d : -d), 0);
    asFar += Number(Math.abs(flipped) >= observed);
  }
  const { difference, pValue, interval } = pairedTest(first, second, { resamples: 20_000 });
  t.is(difference, 2);
  t.true(interval[0] < 2 && interval[1] > 2);
  // Standard deviation of the estimate: below sqrt(0.25 / 20000) = 0.0035.
  t.true(Math.abs(pValue - asFar / 256) < 0.012, `${pValue}, exact ${asFar / 256}`);
  t.is(pairedTest(first, first).pValue, 1);
  const error = await caught(() => pairedTest([1], [1, 2]));
  assertError(t, error, 'OPTION_INVALID', '1 and 2');
});
