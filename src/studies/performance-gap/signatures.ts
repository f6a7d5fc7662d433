// The signatures S1.1 to S1.16 of the study, measured on its runs. Bounds are those of the
// reproduction's protocol, written down before the runs.
import { fileHash } from '../../data/content-hash.js';
import { type FrontierPoint, compareFrontiers, envelopeAt } from '../../evaluation/frontier.js';
import { type Interval, estimate, wilsonInterval } from '../../evaluation/statistics.js';
import { type Signature, notTested, verdictOf } from '../signature.js';
import type { ArmRun } from './arms.js';
import { weightsPath } from './materials.js';
import { type Point, frontierPoint } from './measure.js';
import { type Measured, ofMean, ofPeaks, spearman } from './peaks.js';
import { type Runs, type SeedRuns, baselineOf } from './run.js';

/** Smallest difference of win rates that counts. */
const delta = 0.03;

type Above = Signature['bound'];
const above = (at: number): NonNullable<Above> => ({ side: 'above', at });
const below = (at: number): NonNullable<Above> => ({ side: 'below', at });

const signature = (
  { id, claim, paper }: Pick<Signature, 'id' | 'claim' | 'paper'>,
  { value, interval }: { readonly value: number; readonly interval: Interval | null },
  bound: NonNullable<Above>,
  note: string,
): Signature => {
  const verdict = verdictOf(value, interval, bound);
  return { id, claim, paper, verdict, value, interval, bound, note };
};

export const text = (value: number): string => value.toFixed(3);

export const pointsOf = (runs: readonly ArmRun[], start: Point): FrontierPoint[] =>
  runs.flatMap((run) => [
    frontierPoint(start, run.name, run.arm.seed),
    ...run.result.points.map((point) => frontierPoint(point, run.name, run.arm.seed)),
  ]);

export interface Clouds {
  readonly online: readonly FrontierPoint[];
  readonly offline: readonly FrontierPoint[];
  readonly shuffled: readonly FrontierPoint[];
}

export const cloudsOf = ({ seeds, start }: Runs): Clouds => ({
  online: pointsOf(
    seeds.map(({ online }) => online),
    start,
  ),
  offline: pointsOf(
    seeds.flatMap(({ offline }) => offline),
    start,
  ),
  shuffled: pointsOf(
    seeds.flatMap(({ shuffled }) => shuffled),
    start,
  ),
});

const gap = (clouds: Clouds, of: string): Signature => {
  const measured = ofPeaks([clouds.online, clouds.offline], ([a, b]) => a! - b!);
  const peaks = (name: 'online' | 'offline'): string =>
    text(ofPeaks([clouds[name]], ([peak]) => peak!).value);
  // The effect must be delta; the interval must exclude 0.
  const verdict =
    measured.value >= delta ? verdictOf(measured.value, measured.interval, above(0)) : null;
  return {
    id: 'S1.1',
    claim: `peak win rate: online at least ${delta} above offline, and the interval excludes 0`,
    paper: 'figure 1',
    verdict: verdict ?? (measured.interval[1] < delta ? 'does not hold' : 'undetermined'),
    ...measured,
    bound: above(delta),
    note: `online ${peaks('online')}, offline ${peaks('offline')} (pooled sweep)${of}`,
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
  const note = `from ${text(low)} to ${text(high)} nats; mean difference ${text(mean)}`;
  return signature(names, { value, interval: null }, above(0.8), note);
};

const tandem = async (seeds: readonly SeedRuns[]): Promise<Signature> => {
  let equal = 0;
  for (const { online, tandem: other } of seeds) {
    const weights = await Promise.all([online, other].map((run) => fileHash(weightsPath(run))));
    const sameLosses = online.result.losses.join() === other.result.losses.join();
    equal += Number(weights[0] === weights[1] && sameLosses);
  }
  return signature(
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

const shuffledGap = (clouds: Clouds): Signature => {
  const all = [clouds.online, clouds.offline, clouds.shuffled];
  const measured = ofPeaks(all, ([a, b, c]) => a! - c! - (a! - b!) / 2);
  const peak = text(ofPeaks([clouds.shuffled], ([value]) => value!).value);
  return signature(
    {
      id: 'S1.4',
      claim:
        'shuffling the online stream loses at least half of the gap between online and offline',
      paper: 'figure 4',
    },
    measured,
    above(0),
    `peak of shuffled ${peak}; the value is (online - shuffled) - (online - offline) / 2`,
  );
};

/** Largest fall from the best checkpoint to the last one among runs. */
const fall = (runs: readonly ArmRun[]): { readonly run: ArmRun; readonly measured: Measured } => {
  const falls = runs.map((run) => {
    const rates = run.result.points.map(({ winRate }) => winRate);
    const best = rates.indexOf(Math.max(...rates));
    const [top, last] = [run.result.points[best]!, run.result.points.at(-1)!];
    const value = (letter: string): number => ({ W: 1, L: 0 })[letter] ?? 0.5;
    const differences = [...top.outcomes].map(
      (letter, i) => value(letter) - value(last.outcomes[i]!),
    );
    return { run, measured: ofMean(differences) };
  });
  return falls.reduce((a, b) => (b.measured.value > a.measured.value ? b : a));
};

const goodhart = (
  id: 'S1.6a' | 'S1.6b',
  runs: readonly ArmRun[],
  of: 'offline' | 'online',
): Signature => {
  const { run, measured } = fall(runs);
  const proxy = run.result.points.map(({ proxyWinRate }) => proxyWinRate);
  const rising = `; its win rate by the proxy ends at ${text(proxy.at(-1)!)}, at most ${text(Math.max(...proxy))}`;
  return signature(
    {
      id,
      claim: `at least one ${of} run falls by ${delta} from its best to its last checkpoint`,
      paper: 'figure 1',
    },
    measured,
    above(delta),
    `${run.name}; the best was chosen on the same prompts, which favours this signature` +
      (of === 'online' ? rising : ''),
  );
};

const accuracyOf = (run: ArmRun): number => run.result.points.at(-1)!.accuracy;
const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

const classification = ({ recipe, seeds }: Runs): Signature[] => {
  const pairs = recipe.evaluation.pairs * seeds.length;
  const offline = meanOf(seeds.map((seed) => accuracyOf(baselineOf(recipe, seed.offline))));
  const online = meanOf(seeds.map((seed) => accuracyOf(seed.online)));
  const wilson = wilsonInterval(offline * pairs, pairs);
  const right = (letters: string): number[] => [...letters].map((letter) => Number(letter === 'R'));
  const proxy = seeds.flatMap(({ stream }) => right(stream.proxyRight));
  const policy = seeds.flatMap(({ stream }) => right(stream.offlineRight));
  return [
    signature(
      {
        id: 'S1.8a',
        claim: 'the offline policy classifies D_golden with accuracy of at least 0.60',
        paper: 'figures 6 and 8',
      },
      { value: offline, interval: wilson },
      above(0.6),
      `at the end of the baseline runs; the online policy ${text(online)}`,
    ),
    signature(
      {
        id: 'S1.8b',
        claim: 'the offline policy classifies D_golden better than the online policy by 0.05',
        paper: 'figures 6 and 8',
      },
      { value: offline - online, interval: differenceInterval(offline, online, pairs) },
      above(0.05),
      'on the same pairs; the interval takes them as independent, which is cautious',
    ),
    signature(
      {
        id: 'S1.8c',
        claim: 'the proxy classifies the online stream at least as well as the offline policy',
        paper: 'figure 6',
      },
      ofMean(proxy.map((value, i) => value - policy[i]!)),
      above(0),
      `proxy ${text(meanOf(proxy))}, offline policy ${text(meanOf(policy))}`,
    ),
  ];
};

const differenceInterval = (p: number, q: number, count: number): Interval => {
  const half = 1.96 * Math.sqrt((p * (1 - p) + q * (1 - q)) / count);
  return [p - q - half, p - q + half];
};

const drift = ({ recipe, seeds }: Runs): Signature[] => {
  const last = (runs: readonly ArmRun[]): Point[] =>
    runs.map(({ result }) => result.points.at(-1)!);
  const arms = {
    online: last(seeds.map(({ online }) => online)),
    shuffled: last(seeds.map(({ shuffled }) => baselineOf(recipe, shuffled))),
    offline: last(seeds.map(({ offline }) => baselineOf(recipe, offline))),
  };
  const values = Object.entries(arms).map(([name, points]) => {
    const value = meanOf(points.map(({ chosenDrift }) => chosenDrift));
    const error = Math.hypot(...points.map((p) => p.chosenDriftError)) / points.length;
    return { name, value, interval: [value - 1.96 * error, value + 1.96 * error] as const };
  });
  const worst = values.reduce((a, b) => (b.value > a.value ? b : a));
  const note = values.map(({ name, value }) => `${name} ${value.toFixed(2)}`).join(', ');
  const offline = values.find(({ name }) => name === 'offline')!;
  const others = values.filter(({ name }) => name !== 'offline');
  const lowest = others.reduce((a, b) => (b.value < a.value ? b : a));
  const half = Math.hypot(offline.interval[1] - offline.value, lowest.interval[1] - lowest.value);
  const value = offline.value - lowest.value;
  return [
    signature(
      {
        id: 'S1.9a',
        claim: 'the log-probability of the better response of D_golden falls in every arm',
        paper: 'figure 8',
      },
      worst,
      below(0),
      `nats at the end: ${note}; the value is the largest`,
    ),
    signature(
      { id: 'S1.9b', claim: '… and most in the offline arm', paper: 'figure 8' },
      { value, interval: [value - half, value + half] },
      below(0),
      'offline less the lowest of the others, nats; expected of large language models only',
    ),
  ];
};

const decay = ({ seeds }: Runs): Signature => {
  const parts = seeds.map(({ stream: { places, proxyRight } }) => {
    const share = Math.max(1, Math.round(places.length / 5));
    const size = proxyRight.length / places.length;
    const right = [...proxyRight].map((letter) => Number(letter === 'R'));
    return { first: right.slice(0, share * size), last: right.slice(-share * size) };
  });
  const [first, last] = [parts.flatMap((part) => part.first), parts.flatMap((part) => part.last)];
  const [p, q] = [meanOf(last), meanOf(first)];
  return signature(
    {
      id: 'S1.10',
      claim:
        'the accuracy of the proxy on the online stream is lower in its last fifth than its first',
      paper: 'figure 6',
    },
    { value: p - q, interval: differenceInterval(p, q, Math.min(first.length, last.length)) },
    below(0),
    `first fifth ${text(q)}, last fifth ${text(p)}`,
  );
};

const correlation = ({ seeds }: Runs): Signature => {
  const names = {
    id: 'S1.11',
    claim: 'rank correlation of accuracy and win rate within offline runs is below 0.5',
    paper: 'figure 7',
  };
  const points = seeds.flatMap(({ offline }) => offline.flatMap(({ result }) => result.points));
  const found = spearman(
    points.map(({ accuracy }) => accuracy),
    points.map(({ winRate }) => winRate),
  );
  if (found === null || points.length < 4) {
    return notTested(names.id, names.claim, names.paper, 'too few checkpoints, or no spread');
  }
  // Fisher's transformation with the usual correction for ranks.
  const half = (1.96 * Math.sqrt(1.06)) / Math.sqrt(points.length - 3);
  const z = Math.atanh(Math.max(-0.9999, Math.min(0.9999, found)));
  const interval = [Math.tanh(z - half), Math.tanh(z + half)] as const;
  const note = `${points.length} checkpoints, those of a run being dependent`;
  return signature(names, { value: found, interval }, below(0.5), note);
};

const self = ({ seeds }: Runs): Signature => {
  const runs = seeds.flatMap(({ online, offline, shuffled }) => [online, ...offline, ...shuffled]);
  const found = runs.flatMap((run) => (run.result.self ? [{ run, ...run.result.self }] : []));
  const distances = found.map(({ accuracy }) => Math.abs(accuracy - 0.5));
  const at = distances.indexOf(Math.max(...distances));
  const { run, accuracy, pairs } = found[at]!;
  const [low, high] = wilsonInterval(accuracy * pairs, pairs);
  const interval = [
    low > 0.5 ? low - 0.5 : high < 0.5 ? 0.5 - high : 0,
    Math.max(high - 0.5, 0.5 - low),
  ] as const;
  const mean = estimate(found.map((each) => each.accuracy)).mean;
  return signature(
    {
      id: 'S1.15',
      claim: 'every policy classifies its own samples within 0.05 of chance',
      paper: 'appendix E.1',
    },
    { value: distances[at]!, interval },
    below(0.05),
    `farthest from chance: ${run.name}, ${text(accuracy)}; mean over all runs ${text(mean)}`,
  );
};

const later = [
  notTested('S1.5', 'win rate falls with the window of shuffling', 'figure 13', ''),
  notTested('S1.7', 'offline on data of the final online policy stays below it', 'figure 5', ''),
  notTested('S1.12', 'best-of-2 shows the gap, and its shuffled stream matches', 'figure 9', ''),
  notTested('S1.13', 'the gap stays at every size of the policy', 'figures 10, 11, 14', ''),
  notTested('S1.14', 'data with one side from SFT are better', 'figure 12', ''),
  notTested('S1.16', 'a larger proxy raises the online peak', 'section 5.5', ''),
].map((each) => ({ ...each, note: 'not part of this recipe' }));

const place = (id: string): number => Number(/\d+$/.exec(id.replace(/[a-z]$/, ''))![0]);

export const measureSignatures = async (runs: Runs): Promise<Signature[]> => {
  const { seeds, recipe } = runs;
  const clouds = cloudsOf(runs);
  const of = `, ${seeds.length} seed${seeds.length === 1 ? '' : 's'}, world ${recipe.world}`;
  const found = [
    gap(clouds, of),
    envelope(clouds),
    await tandem(seeds),
    shuffledGap(clouds),
    goodhart(
      'S1.6a',
      seeds.flatMap(({ offline }) => offline),
      'offline',
    ),
    goodhart(
      'S1.6b',
      seeds.map(({ online }) => online),
      'online',
    ),
    ...classification(runs),
    ...drift(runs),
    decay(runs),
    correlation(runs),
    self(runs),
  ];
  return [...found, ...later].sort((a, b) => place(a.id) - place(b.id) || a.id.localeCompare(b.id));
};
