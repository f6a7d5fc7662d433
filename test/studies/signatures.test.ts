// Verdicts and the statistics behind them, on numbers whose answer is known.
import test from 'ava';
import type { FrontierPoint } from '../../src/evaluation/frontier.js';
import { ofMean, ofPeaks, spearman } from '../../src/studies/performance-gap/peaks.js';
import { failing, measuredSignature, notTested, verdictOf } from '../../src/studies/signature.js';

test('a verdict needs the whole interval on one side', (t) => {
  const above = { side: 'above', at: 0.5 } as const;
  t.is(verdictOf(0.6, [0.55, 0.65], above), 'holds');
  t.is(verdictOf(0.6, [0.45, 0.75], above), 'undetermined');
  t.is(verdictOf(0.4, [0.35, 0.45], above), 'does not hold');
  t.is(verdictOf(0.5, null, above), 'holds');
  t.is(verdictOf(0.49, null, above), 'does not hold');
  const below = { side: 'below', at: 0 } as const;
  t.is(verdictOf(-1, [-2, -0.5], below), 'holds');
  t.is(verdictOf(1, [0.5, 2], below), 'does not hold');
  t.is(verdictOf(-1, [-2, 0.5], below), 'undetermined');
});

test('an asserted signature fails unless it was measured and holds', (t) => {
  const claim = { claim: 'more is better', paper: 'figure 1' };
  const bound = { side: 'above', at: 0 } as const;
  const found = [
    measuredSignature({ id: 'S1', ...claim }, { value: 1, interval: [0.5, 2] }, bound, ''),
    measuredSignature({ id: 'S2', ...claim }, { value: 1, interval: [-1, 2] }, bound, ''),
    notTested('S3', 'none', 'figure 2', ''),
  ];
  t.deepEqual(failing(found, ['S1']), []);
  t.deepEqual(failing(found, ['S1', 'S2', 'S3', 'S4']), ['S2', 'S3', 'S4']);
});

const point = (outcomes: readonly number[], seed = 1): FrontierPoint => ({
  kl: 1,
  winRate: outcomes.reduce((sum, value) => sum + value, 0) / outcomes.length,
  run: 'run',
  step: 1,
  seed,
  outcomes,
});

test('a peak is rated on other prompts than it was chosen on', (t) => {
  // Each point wins exactly where the other loses: choosing by the same prompts would give 1.
  const even = point([1, 0, 1, 0, 1, 0, 1, 0]);
  const odd = point([0, 1, 0, 1, 0, 1, 0, 1]);
  t.is(ofPeaks([[even, odd]], ([peak]) => peak!).value, 0);
  const good = point([1, 1, 1, 1, 1, 1, 1, 0]);
  t.is(ofPeaks([[good, point([0, 0, 0, 0, 0, 0, 0, 0])]], ([peak]) => peak!).value, 7 / 8);
});

test('peaks of seeds are averaged, and equal clouds differ by 0 in every resample', (t) => {
  const cloud = [point([1, 1, 1, 1], 1), point([0, 0, 0, 0], 2)];
  t.is(ofPeaks([cloud], ([peak]) => peak!).value, 0.5);
  const { value, interval } = ofPeaks([cloud, cloud], ([a, b]) => a! - b!);
  t.is(value, 0);
  t.deepEqual(interval, [0, 0]);
});

test('the interval of a mean has about the width that theory gives', (t) => {
  const values = Array.from({ length: 400 }, (_, i) => Number(i % 4 === 0));
  const { value, interval } = ofMean(values);
  t.is(value, 0.25);
  // 1.96 standard errors of a proportion, within a tenth: the noise of 1000 resamples.
  const half = 1.96 * Math.sqrt((0.25 * 0.75) / 400);
  t.true(Math.abs((interval[1] - interval[0]) / 2 - half) < half / 10);
});

test('rank correlation', (t) => {
  t.is(spearman([1, 2, 3, 4], [10, 20, 30, 40]), 1);
  t.is(spearman([1, 2, 3, 4], [8, 4, 2, 1]), -1);
  t.is(spearman([1, 1, 1], [1, 2, 3]), null);
  // By hand: ranks 0 1 2 3 and 1 0 3 2, so 1 - 6 * 4 / (4 * 15).
  t.true(Math.abs(spearman([1, 2, 3, 4], [2, 1, 4, 3])! - 0.6) < 1e-12);
});
