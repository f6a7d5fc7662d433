// Signatures and summaries of the experiments on order, data and sizes, on clouds whose answer is known.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { FrontierPoint } from '../../src/evaluation/frontier.js';
import { pairCounts } from '../../src/studies/performance-gap/experiments/dataset-size.js';
import {
  commonBudget,
  finalsOf,
  ofQuantiles,
  withinBudget,
} from '../../src/studies/performance-gap/experiments/data-helpers.js';
import { envelopeSignature } from '../../src/studies/performance-gap/experiments/fig-1.js';
import { onPolicySignatures } from '../../src/studies/performance-gap/experiments/fig-12.js';
import {
  windowSignatures,
  windowsOf,
} from '../../src/studies/performance-gap/experiments/fig-13.js';
import { bestOf2Signatures } from '../../src/studies/performance-gap/experiments/fig-9.js';
import {
  sizeSignatures,
  sizesOf,
  summariesOf,
} from '../../src/studies/performance-gap/experiments/policy-size.js';
import { intervalsOf } from '../../src/studies/performance-gap/experiments/sync-every.js';
import { type Recipe, performanceGap } from '../../src/studies/performance-gap/index.js';
import { ofPeaks } from '../../src/studies/performance-gap/peaks.js';
import type { Signature } from '../../src/studies/signature.js';
import { smallest } from './recipe.js';

const prompts = 400;

/** Wins on the first prompts: as many even as odd ones, so that both halves see the same rate. */
const outcomesOf = (rate: number): number[] =>
  Array.from({ length: prompts }, (_, i) => Number(Math.floor(i / 2) < (rate * prompts) / 2));

const point = (kl: number, winRate: number, step: number, seed = 1): FrontierPoint => ({
  kl,
  winRate,
  step,
  seed,
  run: `run ${seed}`,
  outcomes: outcomesOf(winRate),
});

/** A run of each of two seeds: the start, then checkpoints of these KLs and win rates. */
const cloudOf = (...checkpoints: readonly (readonly [kl: number, winRate: number])[]) =>
  [1, 2].flatMap((seed) =>
    [[0, 0.1] as const, ...checkpoints].map(([kl, rate], i) => point(kl, rate, 10 * i, seed)),
  );

const verdicts = (signatures: readonly Signature[]): Record<string, string> =>
  Object.fromEntries(signatures.map(({ id, verdict }) => [id, verdict]));

// Win rates are multiples of 1/200; only sums of tenths round.
const near = (actual: number, expected: number): boolean => Math.abs(actual - expected) < 1e-9;

test('within a budget a run ends on the line between its checkpoints', (t) => {
  const run = [point(0, 0.1, 0), point(2, 0.3, 10), point(4, 0.7, 20)];
  const kept = withinBudget(run, 3);
  t.deepEqual(
    kept.map(({ kl }) => kl),
    [0, 2, 3],
  );
  t.true(near(kept.at(-1)!.winRate, 0.5));
  const { outcomes } = kept.at(-1)!;
  t.true(near(outcomes!.reduce<number>((sum, value) => sum + value!, 0) / prompts, 0.5));
  t.deepEqual(withinBudget(run, 2), run.slice(0, 2));
  t.deepEqual(withinBudget(run, 9), run);
  // Runs are cut by themselves: the second one never comes near the budget.
  const other = [point(0, 0.1, 0, 2), point(1, 0.2, 10, 2)];
  t.is(withinBudget([...run, ...other], 3).length, 5);
});

test('the common budget is what the shyest run reaches, and finals are last by step', (t) => {
  const far = [point(0, 0.1, 0), point(5, 0.4, 10), point(4, 0.3, 20)];
  const near_ = [point(0, 0.1, 0, 2), point(3, 0.4, 10, 2)];
  t.is(commonBudget([far]), 5);
  t.is(commonBudget([far, near_]), 3);
  t.is(commonBudget([[...far, ...near_]]), 3);
  t.deepEqual(finalsOf([...far, ...near_]), [far[2], near_[1]]);
});

test('S1.5 holds where wide windows cost, and small ones do not', (t) => {
  const levels = [
    { window: 1, cloud: cloudOf([2, 0.3], [4, 0.6]) },
    { window: 4, cloud: cloudOf([2, 0.3], [4, 0.595]) },
    { window: 50, cloud: cloudOf([2, 0.3], [4, 0.5]) },
    { window: Infinity, cloud: cloudOf([2, 0.25], [4, 0.3]) },
  ];
  const found = windowSignatures(levels);
  t.deepEqual(verdicts(found), { 'S1.5a': 'holds', 'S1.5b': 'holds' });
  // The largest rise is the smallest fall: from the recorded order to windows of 4.
  t.true(near(found[0]!.value!, -0.005));
  t.true(near(found[1]!.value!, 0.005));
  t.regex(found[0]!.note, /in order less uniform 0\.300/);
});

test('S1.5 does not hold where a wider window is better, or the narrowest one costs', (t) => {
  const rising = [
    { window: 1, cloud: cloudOf([4, 0.4]) },
    { window: 4, cloud: cloudOf([4, 0.4]) },
    { window: Infinity, cloud: cloudOf([4, 0.6]) },
  ];
  const found = windowSignatures(rising);
  t.deepEqual(verdicts(found), { 'S1.5a': 'does not hold', 'S1.5b': 'holds' });
  t.true(near(found[0]!.value!, 0.2));
  const costly = [
    { window: 1, cloud: cloudOf([4, 0.6]) },
    { window: 4, cloud: cloudOf([4, 0.4]) },
    { window: Infinity, cloud: cloudOf([4, 0.4]) },
  ];
  t.deepEqual(verdicts(windowSignatures(costly)), { 'S1.5a': 'holds', 'S1.5b': 'does not hold' });
});

test('S1.5 compares at one budget: what a run does beyond it does not count', (t) => {
  const levels = [
    { window: 1, cloud: cloudOf([2, 0.4]) },
    { window: 4, cloud: cloudOf([2, 0.4]) },
    { window: Infinity, cloud: cloudOf([2, 0.2], [6, 0.9]) },
  ];
  t.deepEqual(verdicts(windowSignatures(levels)), { 'S1.5a': 'holds', 'S1.5b': 'holds' });
  const still = levels.map(({ window }) => ({ window, cloud: cloudOf() }));
  t.deepEqual(verdicts(windowSignatures(still)), { 'S1.5a': 'not tested', 'S1.5b': 'not tested' });
  t.is(windowSignatures(levels.slice(0, 2))[0]!.verdict, 'not tested');
});

test('S1.13 by size: ratios of peaks, and shuffled against offline at the largest', (t) => {
  const size = (parameters: number, [online, shuffled, offline]: readonly number[]) => ({
    parameters,
    online: cloudOf([1, online!]),
    shuffled: cloudOf([1, shuffled!]),
    offline: cloudOf([1, offline!]),
  });
  const held = sizeSignatures([size(1000, [0.4, 0.2, 0.2]), size(4000, [0.6, 0.5, 0.3])]);
  t.deepEqual(verdicts(held), { 'S1.13a': 'holds', 'S1.13b': 'holds' });
  t.true(near(held[0]!.value!, 0.5));
  t.true(near(held[1]!.value!, 0.2 / 0.6));
  // One size where offline is ahead is enough; and only the largest size counts for the second part.
  const failed = sizeSignatures([size(1000, [0.4, 0.4, 0.6]), size(4000, [0.6, 0.3, 0.5])]);
  t.deepEqual(verdicts(failed), { 'S1.13a': 'does not hold', 'S1.13b': 'does not hold' });
  t.true(near(failed[0]!.value!, 1.5));
  t.is(sizeSignatures([size(1000, [0.4, 0.2, 0.2])])[0]!.verdict, 'not tested');
});

test('an online arm that wins nothing leaves a finite ratio, and equal ones are equal', (t) => {
  const lost = [1, 2].map((seed) => point(1, 0, 10, seed));
  const won = [1, 2].map((seed) => point(1, 0.5, 10, seed));
  const clouds = { online: lost, shuffled: lost, offline: won };
  const sizes = [1000, 4000].map((parameters) => ({ parameters, ...clouds }));
  const [gap, shuffled] = sizeSignatures(sizes);
  // Half a win of 400 prompts is 1/800.
  t.is(gap!.value, 400);
  t.is(gap!.verdict, 'does not hold');
  t.is(shuffled!.value, 1 - 400);
  t.is(summariesOf(sizes)[0]!.relative.shuffled.value, 1);
});

test('a size is summed up by the 90 % quantile of its checkpoints, without the start', (t) => {
  const rates = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.3, 0.1, 0.5];
  const online = cloudOf(...rates.map((rate) => [1, rate] as const));
  const half = cloudOf(...rates.map((rate) => [1, rate / 2] as const));
  const [summary] = summariesOf([{ parameters: 1000, online, shuffled: online, offline: half }]);
  // Of eleven values of two seeds the quantile 0.9 lies at rank 18.9 of 0 to 21: 0.8.
  t.true(near(summary!.absolute.online.value, 0.8));
  t.true(near(summary!.relative.offline.value, 0.5));
  t.deepEqual(summary!.relative.shuffled.interval, [1, 1]);
  const [low, high] = summary!.absolute.online.interval;
  // A proportion of 0.8 on 400 prompts has a standard error of 0.02.
  t.true(low > 0.8 - 4 * 0.02 && low < 0.8 && high > 0.8 && high < 0.8 + 4 * 0.02);
});

test('quantiles pool seeds and resample them', (t) => {
  const cloud = [point(1, 0, 10, 1), point(1, 1, 10, 2)];
  const { value, interval } = ofQuantiles([cloud], 0.5, ([middle]) => middle!);
  t.is(value, 0.5);
  t.deepEqual(interval, [0, 1]);
});

test('S1.2: the share of the KL range in which online is not below', (t) => {
  const online = cloudOf([1, 0.3], [4, 0.6]);
  const of = (offline: ReturnType<typeof cloudOf>) => envelopeSignature({ online, offline });
  t.is(of(cloudOf([1, 0.2], [4, 0.3])).verdict, 'holds');
  t.is(of(cloudOf([1, 0.2], [4, 0.3])).value, 1);
  t.is(of(cloudOf([1, 0.5], [4, 0.7])).verdict, 'does not hold');
  // Equal is at or above; so is what is 0.005 below.
  t.is(of(cloudOf([1, 0.295], [4, 0.595])).value, 1);
  // Above 0.5 from the start and online there at 3 nats: the last (ln 4 - ln 3) / ln 4 of the range,
  // within one of 101 places; the tolerance of 0.01 makes it begin at 2.9 nats.
  const share = (Math.log(4) - Math.log(2.9)) / Math.log(4);
  t.true(Math.abs(of(cloudOf([1, 0.5], [4, 0.5])).value! - share) < 0.01);
  t.is(of(cloudOf([0.5, 0.5])).verdict, 'not tested');
});

test('S1.12: best-of-2 shuffled like online over all of the common range, or not', (t) => {
  const online = cloudOf([2, 0.3], [4, 0.6]);
  const offline = cloudOf([1, 0.15]);
  const of = (shuffled: ReturnType<typeof cloudOf>) =>
    verdicts(bestOf2Signatures({ online, offline, shuffled }));
  t.deepEqual(of(cloudOf([2, 0.3], [3, 0.45])), { 'S1.12a': 'holds', 'S1.12b': 'holds' });
  t.is(of(cloudOf([2, 0.15], [3, 0.45]))['S1.12b'], 'does not hold');
  // Beyond what both reach nothing is compared.
  t.is(of(cloudOf([2, 0.3]))['S1.12b'], 'holds');
});

test('S1.14: three comparisons of peaks', (t) => {
  const clouds = (golden: number, end: number, early: number, apart: number) => ({
    D_golden: cloudOf([1, golden]),
    'end-vs-end': cloudOf([1, end]),
    'sft-vs-early': cloudOf([1, early]),
    'early-vs-end': cloudOf([1, apart]),
  });
  const held = onPolicySignatures(clouds(0.4, 0.3, 0.4, 0.2));
  t.deepEqual(verdicts(held), { 'S1.14a': 'holds', 'S1.14b': 'holds', 'S1.14c': 'holds' });
  t.true(near(held[0]!.value!, 0.2));
  t.true(near(held[1]!.value!, 0.1));
  t.true(near(held[2]!.value!, -0.2));
  const failed = onPolicySignatures(clouds(0.2, 0.5, 0.3, 0.6));
  t.deepEqual([...new Set(failed.map(({ verdict }) => verdict))], ['does not hold']);
  // What the bounds allow: exactly equal data, in every resample.
  const equal = onPolicySignatures(clouds(0.4, 0.4, 0.4, 0.4));
  t.deepEqual([...new Set(equal.map(({ verdict }) => verdict))], ['holds']);
});

test('levels of the experiments: ends included, in order, each once', (t) => {
  const { arm, sft } = { ...smallest, arm: { ...smallest.arm, steps: 400 } };
  t.deepEqual(windowsOf({ windows: [50, 4, 4, 1, 400], arm }), [1, 4, 50, Infinity]);
  t.deepEqual(intervalsOf({ syncEvery: [100, 10, 1000], arm }), [1, 10, 100, 400]);
  t.deepEqual(intervalsOf({ syncEvery: [], arm }), [1]);
  t.deepEqual(pairCounts({ datasetSizes: [500, 100, 100, 5000], pairs: 1000 }), [100, 500, null]);
  const own = sft.parameters;
  t.deepEqual(sizesOf({ sft, policySizes: [4 * own, own] }), [own, 4 * own]);
});

test('the peak within a budget does not choose by the noise that it is rated by', (t) => {
  // Two checkpoints that win where the other loses: chosen on one half, rated on the other.
  const odd = Array.from({ length: 8 }, (_, i) => i % 2);
  const run = [odd, odd.map((value) => 1 - value)].map((outcomes, i): FrontierPoint => ({
    ...point(i, 0.5, i),
    outcomes,
  }));
  t.is(ofPeaks([withinBudget(run, 5)], ([value]) => value!).value, 0);
});

const everything: Recipe = {
  ...smallest,
  weakBeta: null,
  windows: [2],
  onPolicyData: true,
  policySizes: [27_000],
  syncEvery: [1, 3],
  datasetSizes: [16],
};

interface Level {
  readonly every?: number;
  readonly pairs?: number;
  readonly peak: unknown;
}

test('the experiments run, and their sweeps end in the pure arms', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'alignlab-gap-data-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const only = ['fig-12', 'fig-13', 'policy-size', 'sync-every', 'dataset-size'];
  let planned = 0;
  const onPlan = (stages: number): void => {
    planned = stages;
  };
  const { findings, computed } = await performanceGap({ recipe: everything, folder, only, onPlan });
  t.is(computed, planned);
  const found = only.map((id) => findings.get(id)!);
  const measured = found.flatMap(({ signatures }) => signatures);
  t.true(measured.every(({ verdict }) => verdict !== 'not tested'));
  const ids = measured.map(({ id }) => id).sort();
  t.deepEqual(ids, ['S1.13a', 'S1.13b', 'S1.14a', 'S1.14b', 'S1.14c', 'S1.5a', 'S1.5b']);
  const data = (id: string) => findings.get(id)!.data as Readonly<Record<string, unknown>>;
  const [sync, size] = [data('sync-every'), data('dataset-size')];
  const [syncLevels, sizeLevels] = [sync.levels as Level[], size.levels as Level[]];
  t.deepEqual(syncLevels[0], { every: 1, ...(size.online as Level) });
  t.deepEqual(sizeLevels[1], { pairs: sizeLevels[1]!.pairs!, ...(sync.offline as Level) });
  t.is(sizeLevels[0]!.pairs, 16);
  t.true(sizeLevels[1]!.pairs! <= everything.pairs);
});
