// Signatures of figures 1 and 4: win rate against KL, in-order replay, shuffled replay, Goodhart.
import { fileHash } from '../../data/content-hash.js';
import { compareFrontiers, envelopeAt } from '../../evaluation/frontier.js';
import { mean } from '../../evaluation/statistics.js';
import { type Signature, above, measuredSignature, notTested, verdictOf } from '../signature.js';
import type { ArmRun } from './arms.js';
import { type Cloud, type Clouds, cloudsOf } from './clouds.js';
import { weightsPath } from './materials.js';
import { type Point, outcomesOf } from './measure.js';
import { ofMean, ofPeaks } from './peaks.js';
import type { Runs, SeedRuns } from './run.js';

/** Smallest difference of win rates that counts. */
const delta = 0.03;

const figure = (value: number): string => value.toFixed(3);

const gap = (id: 'S1.1' | 'S1.1b', clouds: Clouds, of: string): Signature => {
  const measured = ofPeaks([clouds.online, clouds.offline], ([a, b]) => a! - b!);
  const peaks = (name: 'online' | 'offline'): string =>
    figure(ofPeaks([clouds[name]], ([peak]) => peak!).value);
  // The effect must be delta; the interval must exclude 0.
  const verdict =
    measured.value >= delta ? verdictOf(measured.value, measured.interval, above(0)) : null;
  return {
    id,
    claim: `peak win rate: online at least ${delta} above offline, and the interval excludes 0`,
    paper: 'figure 1',
    verdict: verdict ?? (measured.interval[1] < delta ? 'does not hold' : 'undetermined'),
    ...measured,
    bound: above(delta),
    note: `online ${peaks('online')}, offline ${peaks('offline')} (pooled)${of}`,
  };
};

/** Share of the common KL range in which online is not more than 0.01 below. */
const envelope = ({ online, offline }: Clouds): Signature => {
  const names = {
    id: 'S1.2',
    claim: 'online at or above offline on at least 80 % of the common KL range from 1 nat up',
    paper: 'figure 1',
  };
  const { range } = compareFrontiers(online, offline);
  const [low, high] = [Math.max(1, range?.[0] ?? Infinity), range?.[1] ?? 0];
  if (low >= high) {
    return notTested(names.id, names.claim, names.paper, 'there is no common range above 1 nat');
  }
  const budgets = Array.from({ length: 101 }, (_, i) => low * (high / low) ** (i / 100));
  const gaps = budgets.map(
    (kl) => envelopeAt(online, kl, 'linear')! - envelopeAt(offline, kl, 'linear')!,
  );
  const value = gaps.filter((each) => each >= -0.01).length / gaps.length;
  const mean = gaps.reduce((sum, each) => sum + each, 0) / gaps.length;
  const note = `from ${figure(low)} to ${figure(high)} nats; mean difference ${figure(mean)}`;
  return measuredSignature(names, { value, interval: null }, above(0.8), note);
};

const tandem = async (seeds: readonly SeedRuns[]): Promise<Signature> => {
  let equal = 0;
  for (const { online, tandem: other } of seeds) {
    const weights = await Promise.all([online, other].map((run) => fileHash(weightsPath(run))));
    const sameLosses = online.result.losses.join() === other.result.losses.join();
    equal += Number(weights[0] === weights[1] && sameLosses);
  }
  return measuredSignature(
    {
      id: 'S1.3',
      claim: 'replaying the online stream in its order gives the same policy, bit for bit',
      paper: 'appendix F',
    },
    { value: equal / seeds.length, interval: null },
    above(1),
    `${equal} of ${seeds.length} pairs of runs have equal weights and equal losses at every step`,
  );
};

const shuffledGap = (
  id: 'S1.4' | 'S1.4b',
  { online, offline, shuffled }: Clouds,
  beta: number,
): Signature => {
  const measured = ofPeaks([online, offline, shuffled], ([a, b, c]) => a! - c! - (a! - b!) / 2);
  const peak = (cloud: Cloud): string => figure(ofPeaks([cloud], ([value]) => value!).value);
  return measuredSignature(
    {
      id,
      claim:
        'shuffling the online stream loses at least half of the gap between online and offline ' +
        `(beta ${beta})`,
      paper: 'figure 4',
    },
    measured,
    above(0),
    `peaks: online ${peak(online)}, shuffled ${peak(shuffled)}, offline ${peak(offline)}; ` +
      'the value is (online - shuffled) - (online - offline) / 2',
  );
};

interface Fall {
  readonly run: ArmRun;
  /** By prompt, of the best checkpoint less the last one. */
  readonly differences: readonly number[];
}

const fallsOf = (run: ArmRun): Fall[] => {
  const last = ratesOf(run.result.points.at(-1)!);
  return run.result.points.map((point) => ({
    run,
    differences: ratesOf(point).map((value, i) => value - last[i]!),
  }));
};

const ratesOf = (point: Point): number[] => outcomesOf(point).map((outcome) => outcome ?? 0.5);

/**
 * The largest fall from a checkpoint to the last one of its run. Run and checkpoint are chosen on
 * one half of the prompts and the fall is taken on the other, both ways.
 */
const largestFall = (runs: readonly ArmRun[]) => {
  const falls = runs.flatMap(fallsOf);
  const onHalf = ({ differences }: Fall, half: number): number[] =>
    differences.filter((_, i) => i % 2 === half);
  const chosen = [0, 1].map((half) =>
    falls.reduce((a, b) => (mean(onHalf(b, half)) > mean(onHalf(a, half)) ? b : a)),
  ) as [Fall, Fall];
  const differences = [...onHalf(chosen[0], 1), ...onHalf(chosen[1], 0)];
  return { run: chosen[0].run, measured: ofMean(differences) };
};

const goodhart = (
  id: 'S1.6a' | 'S1.6b',
  runs: readonly ArmRun[],
  of: 'offline' | 'online',
): Signature => {
  const { run, measured } = largestFall(runs);
  const proxy = run.result.points.map(({ proxyWinRate }) => proxyWinRate);
  const rising = `; its win rate by the proxy ends at ${figure(proxy.at(-1)!)}, at most ${figure(Math.max(...proxy))}`;
  return measuredSignature(
    {
      id,
      claim: `at least one ${of} run falls by ${delta} from its best to its last checkpoint`,
      paper: 'figure 1',
    },
    measured,
    above(delta),
    run.name + (of === 'online' ? rising : ''),
  );
};

const weakSignatures = (clouds: Clouds, beta: number, of: string): Signature[] => [
  gap('S1.1b', clouds, `${of}; at beta ${beta}, below the paper's`),
  shuffledGap('S1.4b', clouds, beta),
];

export const gapSignatures = async (runs: Runs): Promise<Signature[]> => {
  const { seeds, recipe } = runs;
  const clouds = cloudsOf(runs);
  const of = `, ${seeds.length} seed${seeds.length === 1 ? '' : 's'}, world ${recipe.world}`;
  const every = (method: 'online' | 'offline'): ArmRun[] =>
    seeds.flatMap((seed) => [seed[method], seed.weak?.[method] ?? []].flat());
  return [
    gap('S1.1', clouds, of),
    envelope(clouds),
    await tandem(seeds),
    shuffledGap('S1.4', clouds, recipe.arm.beta),
    ...(recipe.weakBeta === null ? [] : weakSignatures(clouds.weak, recipe.weakBeta, of)),
    goodhart('S1.6a', every('offline'), 'offline'),
    goodhart('S1.6b', every('online'), 'online'),
  ];
};
