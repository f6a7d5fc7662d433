// Verdicts and the statistics behind them, on numbers whose answer is known.
import test from 'ava';
import type { FrontierPoint } from '../../src/evaluation/frontier.js';
import { ofEnvelopes, ofMean, ofPeaks, spearman } from '../../src/studies/performance-gap/peaks.js';
import {
  failing,
  isMet,
  measuredSignature,
  notTested,
  verdictOf,
} from '../../src/studies/signature.js';

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

test('a value satisfies its inequality or not, whatever the interval', (t) => {
  const claim = { id: 'S1', claim: 'more is better', paper: 'figure 1' };
  const of = (value: number, interval: [number, number], side: 'above' | 'below') => {
    const signature = measuredSignature(claim, { value, interval }, { side, at: 0.5 }, '');
    return [signature.verdict, isMet(signature)];
  };
  t.deepEqual(of(0.6, [0.4, 0.8], 'above'), ['undetermined', true]);
  t.deepEqual(of(0.4, [0.3, 0.8], 'above'), ['undetermined', false]);
  t.deepEqual(of(0.5, [0.5, 0.8], 'above'), ['holds', true]);
  t.deepEqual(of(0.6, [0.4, 0.8], 'below'), ['undetermined', false]);
  // Resamples may leave the value outside of their interval: no verdict against what was measured.
  t.deepEqual(of(0.4, [0.6, 0.8], 'above'), ['undetermined', false]);
  t.deepEqual(of(0.6, [0.3, 0.4], 'above'), ['does not hold', true]);
  t.is(isMet(notTested('S2', 'none', 'figure 2', '')), null);
});

test('envelopes: equal clouds have no gap in any resample, and a gap is found with its noise', (t) => {
  const cloudOf = (rates: readonly number[], seed: number): FrontierPoint[] =>
    rates.map((winRate, i) => ({
      kl: i,
      winRate,
      run: 'run',
      step: i,
      seed,
      outcomes: Array.from({ length: 200 }, (_, prompt) => Number(prompt % 10 < 10 * winRate)),
    }));
  const first = [...cloudOf([0.1, 0.3, 0.7], 1), ...cloudOf([0.1, 0.3, 0.7], 2)];
  const second = [...cloudOf([0.1, 0.5, 0.5], 1), ...cloudOf([0.1, 0.5, 0.5], 2)];
  const budgets = [0, 0.5, 1, 2];
  const largest = (gaps: readonly number[]): number => Math.max(...gaps.map(Math.abs));
  t.deepEqual(ofEnvelopes([first, first], budgets, largest), { value: 0, interval: [0, 0] });
  const seen: number[][] = [];
  const { value, interval } = ofEnvelopes([first, second], budgets, (gaps) => {
    seen.push([...gaps]);
    return gaps[3]!;
  });
  // Linear between checkpoints; beyond its last rise an envelope stays. Within rounding of tenths.
  [0, -0.1, -0.2, 0.2].forEach((gap, i) => t.true(Math.abs(seen.at(-1)![i]! - gap) < 1e-12));
  t.true(Math.abs(value - 0.2) < 1e-12);
  // The outcomes differ on a fifth of the prompts: 1.96 standard errors, within a tenth for 1000 resamples.
  const half = 1.96 * Math.sqrt((0.2 * 0.8) / 200);
  t.true(Math.abs((interval[1] - interval[0]) / 2 - half) < half / 10, String(interval));
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
