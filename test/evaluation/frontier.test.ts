// KL-win-rate clouds: envelopes, peaks and comparisons by hand.
import test from 'ava';
import {
  type FrontierPoint,
  compareFrontiers,
  envelopeAt,
  peak,
  peakInterval,
  upperEnvelope,
  winRateQuantile,
} from '../../src/evaluation/frontier.js';
import { random } from '../../src/data/random.js';
import { assertError, caught } from '../checkpoint/helpers.js';

const cloud = (points: readonly (readonly [number, number])[], run = 'a'): FrontierPoint[] =>
  points.map(([kl, winRate], step) => ({ kl, winRate, run, step }));

const hump = cloud([
  [0, 0.1],
  [5, 0.6],
  [1, 0.3],
  [2, 0.2],
  [4, 0.6],
  [9, 0.4],
]);

test('the envelope holds what nothing beats within its budget', (t) => {
  const envelope = upperEnvelope(hump).map(({ kl, winRate }) => [kl, winRate]);
  t.deepEqual(envelope, [
    [0, 0.1],
    [1, 0.3],
    [4, 0.6],
  ]);
  t.like(peak(hump), { kl: 4, winRate: 0.6, step: 4 });
  // By its definition: the best win rate of all points within the budget.
  for (let kl = 0; kl <= 10; kl += 0.25) {
    const within = hump.filter((point) => point.kl <= kl).map(({ winRate }) => winRate);
    t.is(envelopeAt(hump, kl), Math.max(...within));
  }
  t.true(Math.abs(envelopeAt(hump, 2, 'linear')! - 0.4) < 1e-12);
  t.is(envelopeAt(hump, 20, 'linear'), 0.6);
  t.is(envelopeAt(cloud([[1, 0.5]]), 0.5), null);
});

test('the 90 % quantile of a cloud', (t) => {
  const points = cloud(Array.from({ length: 11 }, (_, i) => [i, i / 10] as const));
  t.true(Math.abs(winRateQuantile(points) - 0.9) < 1e-12);
});

test('two clouds are compared on the budgets that both reach', (t) => {
  const line = (slope: number, from: number, to: number) =>
    cloud([
      [from, slope * from],
      [to, slope * to],
    ]);
  const found = compareFrontiers(line(0.1, 0, 4), line(0.05, 1, 8));
  t.deepEqual(found.range, [1, 4]);
  // A gap of 0.05 kl between two lines: 0.125 on average from 1 to 4, at most 0.2.
  t.true(Math.abs(found.meanGap! - 0.125) < 1e-12);
  t.true(Math.abs(found.largestGap! - 0.2) < 1e-12);
  t.true(Math.abs(found.peakGap) < 1e-12);
  const same = compareFrontiers(hump, hump);
  t.like(same, { meanGap: 0, largestGap: 0, peakGap: 0 });
  const apart = compareFrontiers(line(0.1, 0, 1), line(0.1, 2, 3));
  t.like(apart, { range: null, meanGap: null });
});

test('the interval of a peak covers the truth, and needs the outcomes of one list', async (t) => {
  const truth = [0.3, 0.6, 0.4];
  const points = [1, 2, 3].flatMap((seed) =>
    truth.map((winRate, step): FrontierPoint => {
      const stream = random(9, 'outcomes', seed, step);
      const outcomes = Array.from({ length: 200 }, () => Number(stream.uniform() < winRate));
      const rate = outcomes.reduce((a, b) => a + b) / 200;
      return { kl: step, winRate: rate, run: `run ${seed}`, step, seed, outcomes };
    }),
  );
  const [low, high] = peakInterval(points, { resamples: 300 });
  t.true(low < 0.66 && 0.6 < high && high - low < 0.2, `${low} to ${high}`);
  t.true(low <= peak(points).winRate && peak(points).winRate <= high);
  t.deepEqual(
    peakInterval(points, { resamples: 50, seed: 1 }),
    peakInterval(points, { resamples: 50, seed: 1 }),
  );
  const short = [...points, { ...points[0]!, step: 7, outcomes: [1] }];
  assertError(t, await caught(() => peakInterval(short)), 'OPTION_INVALID', 'Step 7', '200');
  assertError(t, await caught(() => peakInterval(hump)), 'OPTION_INVALID', 'Evaluate');
});

test('points out of range and empty clouds are refused', async (t) => {
  assertError(t, await caught(() => upperEnvelope([])), 'OPTION_INVALID', 'at least one');
  const negative = cloud([[-0.1, 0.5]]);
  assertError(t, await caught(() => peak(negative)), 'OPTION_INVALID', '-0.1');
  const percent = cloud([[1, 55]]);
  assertError(t, await caught(() => peak(percent)), 'OPTION_INVALID', '55');
  const bad = await caught(() => envelopeAt(hump, 1, 'cubic' as never));
  assertError(t, bad, 'OPTION_INVALID', 'cubic');
});
