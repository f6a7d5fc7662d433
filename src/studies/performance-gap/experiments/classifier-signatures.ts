// Signatures of figures 6 to 8: policies and the proxy as classifiers, and the drift of likelihoods.
import { type Interval, mean, wilsonInterval } from '../../../evaluation/statistics.js';
import { type Signature, above, below, measuredSignature, notTested } from '../../signature.js';
import type { ArmRun } from '../arms.js';
import type { Point } from '../measure.js';
import { ofMean, spearman } from '../peaks.js';
import type { StreamAccuracy } from '../stream.js';
import { type Regime, decimals } from './baseline-arms.js';

/** What was run with one seed. */
export interface ClassifiedSeed {
  /** At the baseline's settings. */
  readonly arms: Regime<ArmRun>;
  readonly offline: readonly ArmRun[];
  readonly shuffled: readonly ArmRun[];
  readonly stream: StreamAccuracy;
}

type Seeds = readonly ClassifiedSeed[];

const accuracyOf = (run: ArmRun): number => run.result.points.at(-1)!.accuracy;

const classification = (seeds: Seeds, pairsOfSeed: number): Signature[] => {
  const pairs = pairsOfSeed * seeds.length;
  const offline = mean(seeds.map((seed) => accuracyOf(seed.arms.offline)));
  const online = mean(seeds.map((seed) => accuracyOf(seed.arms.online)));
  const wilson = wilsonInterval(offline * pairs, pairs);
  const right = (letters: string): number[] =>
    Array.from(letters, (letter) => Number(letter === 'R'));
  const proxy = seeds.flatMap(({ stream }) => right(stream.proxyRight));
  const policy = seeds.flatMap(({ stream }) => right(stream.offlineRight));
  return [
    measuredSignature(
      {
        id: 'S1.8a',
        claim: 'the offline policy classifies D_golden with accuracy of at least 0.60',
        paper: 'figures 6 and 8',
      },
      { value: offline, interval: wilson },
      above(0.6),
      `at the end of the baseline runs; the online policy ${decimals(online)}`,
    ),
    measuredSignature(
      {
        id: 'S1.8b',
        claim: 'the offline policy classifies D_golden better than the online policy by 0.05',
        paper: 'figures 6 and 8',
      },
      { value: offline - online, interval: differenceInterval(offline, online, pairs) },
      above(0.05),
      'on the same pairs; the interval takes them as independent, which is cautious',
    ),
    measuredSignature(
      {
        id: 'S1.8c',
        claim: 'the proxy classifies the online stream at least as well as the offline policy',
        paper: 'figure 6',
      },
      ofMean(proxy.map((value, i) => value - policy[i]!)),
      above(0),
      `proxy ${decimals(mean(proxy))}, offline policy ${decimals(mean(policy))}`,
    ),
  ];
};

const differenceInterval = (p: number, q: number, count: number): Interval => {
  const half = 1.96 * Math.sqrt((p * (1 - p) + q * (1 - q)) / count);
  return [p - q - half, p - q + half];
};

const drift = (seeds: Seeds): Signature[] => {
  const last = (runs: readonly ArmRun[]): Point[] =>
    runs.map(({ result }) => result.points.at(-1)!);
  const arms = {
    online: last(seeds.map(({ arms: { online } }) => online)),
    shuffled: last(seeds.map(({ arms: { shuffled } }) => shuffled)),
    offline: last(seeds.map(({ arms: { offline } }) => offline)),
  };
  const values = Object.entries(arms).map(([name, points]) => {
    const value = mean(points.map(({ chosenDrift }) => chosenDrift));
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
    measuredSignature(
      {
        id: 'S1.9a',
        claim: 'the log-probability of the better response of D_golden falls in every arm',
        paper: 'figure 8',
      },
      worst,
      below(0),
      `nats at the end: ${note}; the value is the largest`,
    ),
    measuredSignature(
      { id: 'S1.9b', claim: '… and most in the offline arm', paper: 'figure 8' },
      { value, interval: [value - half, value + half] },
      below(0),
      'offline less the lowest of the others, nats; expected of large language models only',
    ),
  ];
};

const decay = (seeds: Seeds): Signature => {
  const parts = seeds.map(({ stream: { places, proxyRight } }) => {
    const share = Math.max(1, Math.round(places.length / 5));
    const size = proxyRight.length / places.length;
    const right = Array.from(proxyRight, (letter) => Number(letter === 'R'));
    return { first: right.slice(0, share * size), last: right.slice(-share * size) };
  });
  const [first, last] = [parts.flatMap((part) => part.first), parts.flatMap((part) => part.last)];
  const [p, q] = [mean(last), mean(first)];
  return measuredSignature(
    {
      id: 'S1.10',
      claim:
        'the accuracy of the proxy on the online stream is lower in its last fifth than its first',
      paper: 'figure 6',
    },
    { value: p - q, interval: differenceInterval(p, q, Math.min(first.length, last.length)) },
    below(0),
    `first fifth ${decimals(q)}, last fifth ${decimals(p)}`,
  );
};

const correlation = (seeds: Seeds): Signature => {
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
  return measuredSignature(names, { value: found, interval }, below(0.5), note);
};

const self = (seeds: Seeds): Signature => {
  const runs = seeds.flatMap(({ arms, offline, shuffled }) => [
    arms.online,
    ...offline,
    ...shuffled,
  ]);
  const found = runs.flatMap((run) => (run.result.self ? [{ run, ...run.result.self }] : []));
  const distances = found.map(({ accuracy }) => Math.abs(accuracy - 0.5));
  const at = distances.indexOf(Math.max(...distances));
  const { run, accuracy, pairs } = found[at]!;
  const [low, high] = wilsonInterval(accuracy * pairs, pairs);
  const interval = [
    low > 0.5 ? low - 0.5 : high < 0.5 ? 0.5 - high : 0,
    Math.max(high - 0.5, 0.5 - low),
  ] as const;
  const middle = mean(found.map((each) => each.accuracy));
  return measuredSignature(
    {
      id: 'S1.15',
      claim: 'every policy classifies its own samples within 0.05 of chance',
      paper: 'appendix E.1',
    },
    { value: distances[at]!, interval },
    below(0.05),
    `farthest from chance: ${run.name}, ${decimals(accuracy)}; mean over all runs ${decimals(middle)}`,
  );
};

/** @param pairs of D_golden that each seed was measured on */
export const classifierSignatures = (seeds: Seeds, pairs: number): Signature[] => [
  ...classification(seeds, pairs),
  ...drift(seeds),
  decay(seeds),
  correlation(seeds),
  self(seeds),
];
