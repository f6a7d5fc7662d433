// Best of n: of n samples of a prompt keep the one that a proxy judge likes most. How good is it by
// the golden judge, and how far from the policy (Gao et al. 2023, 2210.10760)?
import type { LanguageModel } from '../engine/model.js';
import { AlignlabError } from '../errors.js';
import { type OptionNames, refuseUnknown } from '../options.js';
import { askScores } from '../judges/checked.js';
import type { RewardJudge } from '../judges/judge.js';
import type { Encoder } from '../text/encoding.js';
import { type DrawnResponse, type EvaluationPrompt, drawResponses } from './samples.js';
import type { FreeSampling } from './samples.js';
import {
  type Estimate,
  type Interval,
  type ResamplingOptions,
  bootstrapInterval,
  estimate,
  mean,
  resamplingOptions,
} from './statistics.js';

/** One sample of a prompt under both judges. */
export interface ScoredSample {
  readonly proxy: number;
  readonly golden: number;
}

/**
 * log n - (n - 1) / n, in nats: bounds KL(best of n || policy) from above, and is reached where no
 * two samples have the same score (Beirami et al. 2024, 2401.01879).
 */
export const bestOfNKl = (n: number): number => Math.log(n) - (n - 1) / n;

/** Equal proxy scores share their golden scores: the choice among them is even. */
const sharing = (samples: readonly ScoredSample[]): readonly ScoredSample[] => {
  const sums = new Map<number, { golden: number; count: number }>();
  for (const { proxy, golden } of samples) {
    const { golden: sum = 0, count = 0 } = sums.get(proxy) ?? {};
    sums.set(proxy, { golden: sum + golden, count: count + 1 });
  }
  return samples.map(({ proxy }) => {
    const { golden, count } = sums.get(proxy)!;
    return { proxy, golden: golden / count };
  });
};

/**
 * Expected proxy and golden score of the best of n of these samples by proxy, over all subsets of
 * n: the i-th smallest of N is the best of C(i - 1, n - 1) of the C(N, n) subsets. Unbiased for
 * fresh samples. Throws OPTION_INVALID unless 1 <= n <= N.
 */
export const bestOfN = (samples: readonly ScoredSample[], n: number): ScoredSample => {
  const count = samples.length;
  if (!Number.isSafeInteger(n) || n < 1 || n > count) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `The best of ${n} cannot be estimated from ${count} samples. Give n from 1 to the number ` +
        'of samples, or draw more.',
    );
  }
  const sorted = [...sharing(samples)].sort((a, b) => a.proxy - b.proxy);
  let weight = n / count;
  let [proxy, golden] = [0, 0];
  for (let i = count; i >= n; i -= 1) {
    proxy += weight * sorted[i - 1]!.proxy;
    golden += weight * sorted[i - 1]!.golden;
    // C(i - 2, n - 1) / C(i - 1, n - 1); at i = n it becomes zero.
    if (i > 1) weight *= (i - n) / (i - 1);
  }
  return { proxy, golden };
};

export interface BestOfNPoint {
  readonly n: number;
  /** Bound on the KL to the policy, in nats. */
  readonly kl: number;
  /** Over prompts. */
  readonly proxy: Estimate;
  readonly golden: Estimate;
  readonly goldenInterval: Interval;
  /** Prompts with fewer than n scored samples, which are left out of all points alike. */
  readonly skipped: number;
}

/** @param prompts the scored samples of each */
export const bestOfNCurve = (
  prompts: readonly (readonly ScoredSample[])[],
  ns: readonly number[],
  options: ResamplingOptions = {},
): BestOfNPoint[] => {
  const most = Math.max(...ns);
  const usable = prompts.filter((samples) => samples.length >= most);
  if (usable.length === 0 || ns.length === 0) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `None of the ${prompts.length} prompts has the ${most} scored samples that the largest n ` +
        'needs. Draw more samples, or ask for smaller n.',
    );
  }
  return ns.map((n) => {
    const found = usable.map((samples) => bestOfN(samples, n));
    const golden = found.map((sample) => sample.golden);
    return {
      n,
      kl: bestOfNKl(n),
      proxy: estimate(found.map((sample) => sample.proxy)),
      golden: estimate(golden),
      goldenInterval: bootstrapInterval(golden, mean, options),
      skipped: prompts.length - usable.length,
    };
  });
};

export interface BestOfNOptions extends ResamplingOptions {
  readonly policy: LanguageModel;
  readonly prompts: readonly EvaluationPrompt[];
  readonly proxy: RewardJudge;
  readonly golden: RewardJudge;
  readonly encoder: Pick<Encoder, 'decode'>;
  /** Of each prompt: N, at least the largest n. */
  readonly samples: number;
  readonly ns: readonly number[];
  readonly sampling?: FreeSampling;
  readonly signal?: AbortSignal;
}

const known: OptionNames<BestOfNOptions> = {
  ...resamplingOptions,
  policy: true,
  prompts: true,
  proxy: true,
  golden: true,
  encoder: true,
  samples: true,
  ns: true,
  sampling: true,
  signal: true,
};

export interface BestOfN {
  readonly points: readonly BestOfNPoint[];
  /** Samples that one of the judges could not score; they are left out. */
  readonly failures: number;
  readonly samples: readonly (readonly ScoredSample[])[];
}

const scoresOf = async (
  judge: RewardJudge,
  prompts: readonly EvaluationPrompt[],
  drawn: readonly (readonly DrawnResponse[])[],
  signal: AbortSignal | undefined,
): Promise<(number | null)[][]> => {
  const requests = drawn.flatMap((responses, i) =>
    responses.map((response) => {
      const { text, tokens, columns } = prompts[i]!;
      return { prompt: text, promptTokens: tokens, response, ...(columns ? { columns } : {}) };
    }),
  );
  const scores = await askScores(judge, requests, signal ? { signal } : {});
  let at = 0;
  return drawn.map((responses) => responses.map(() => scores[at++] ?? null));
};

/** Draws samples of each prompt, scores them by both judges, and estimates each best of n. */
export const measureBestOfN = async (options: BestOfNOptions): Promise<BestOfN> => {
  refuseUnknown('measureBestOfN', options, known);
  const { policy, prompts, proxy, golden, encoder, samples: count, ns, ...rest } = options;
  const { sampling, signal, ...resampling } = rest;
  const drawn = await drawResponses(policy, prompts, {
    encoder,
    samples: count,
    stream: 'best-of-n',
    ...(sampling ? { sampling } : {}),
    ...(resampling.seed === undefined ? {} : { seed: resampling.seed }),
    ...(signal ? { signal } : {}),
  });
  const byProxy = await scoresOf(proxy, prompts, drawn, signal);
  const byGolden = await scoresOf(golden, prompts, drawn, signal);
  let failures = 0;
  const samples = byProxy.map((scores, i) =>
    scores.flatMap((score, j): ScoredSample[] => {
      const truth = byGolden[i]![j] ?? null;
      if (score !== null && truth !== null) return [{ proxy: score, golden: truth }];
      failures += 1;
      return [];
    }),
  );
  return { points: bestOfNCurve(samples, ns, resampling), failures, samples };
};
