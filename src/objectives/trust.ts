// A penalty that keeps a policy off responses where the judge of its pairs is not to be trusted: what
// H2O (Niu et al. 2022, arXiv 2206.13464) does to Q on simulated states, done to the implicit reward
// r_i = beta log(pi/pi_ref) of the responses of a batch. With gaps u_i of their pairs:
//
//   omega_i = u_i / sum_j u_j      lambda log sum_i exp(r_i + log omega_i), or lambda sum_i omega_i r_i
//
// No gradient goes through u. H2O's other half, -mean Q on real data, is the loss on trusted pairs.
import { AlignlabError } from '../errors.js';
import { sumOf } from './math.js';
import type { Evaluation, Objective, Row, Sequence } from './objective.js';
import { type GivenOptions, optionError, resolveOptions } from './options.js';
import { meanOver } from './pairwise.js';

const specs = {
  lambda: { type: 'number', default: 1, min: 0, help: 'Weight of the penalty' },
  beta: {
    type: 'number',
    default: null,
    min: 0,
    exclusive: true,
    help: "Scale of the log-ratios in it; null: the objective's own beta",
  },
  form: {
    type: 'string',
    default: 'logsumexp',
    choices: ['logsumexp', 'linear'],
    help: 'logsumexp: highest where gap and implicit reward are; linear: their weighted mean',
  },
} as const;

export interface TrustOptions {
  readonly lambda?: number;
  readonly beta?: number | null;
  readonly form?: 'logsumexp' | 'linear';
}

const logSumExp = (values: readonly number[]): number => {
  const most = Math.max(...values);
  return most + Math.log(sumOf(values.map((value) => Math.exp(value - most))));
};

/** Smaller is no gap; a batch without any has equal shares. A normal number in float32 too. */
const least = 1e-30;

/** log(u_i / sum u), in log space: nothing underflows. */
export const logShares = (gaps: readonly number[]): number[] => {
  const logs = gaps.map((gap) => Math.log(Math.max(gap, least)));
  const total = logSumExp(logs);
  return logs.map((log) => log - total);
};

interface Penalty {
  readonly value: number;
  /** By each response's implicit reward. */
  readonly slopes: readonly number[];
}

const penalties = {
  logsumexp: (rewards: readonly number[], shares: readonly number[]): Penalty => {
    const terms = rewards.map((reward, i) => reward + shares[i]!);
    const value = logSumExp(terms);
    return { value, slopes: terms.map((term) => Math.exp(term - value)) };
  },
  linear: (rewards: readonly number[], shares: readonly number[]): Penalty => {
    const slopes = shares.map(Math.exp);
    return { value: sumOf(rewards.map((reward, i) => slopes[i]! * reward)), slopes };
  },
};

const gapOf = ({ gap }: Row, index: number): number => {
  if (gap !== undefined && gap >= 0 && gap < Infinity) return gap;
  throw new AlignlabError(
    'DATA_INVALID',
    `Row ${index} has ${gap === undefined ? 'no gap' : `the gap ${gap}`}; the trust penalty needs a ` +
      'number from 0 up. Take pairs of a source with discriminators: trusted(source, ...).',
  );
};

const logRatioOf = ({ logProbs, reference }: Sequence): number => {
  if (reference?.length === logProbs.length) return sumOf(logProbs) - sumOf(reference);
  throw new AlignlabError(
    'DATA_INVALID',
    'A row has no log-probabilities of the reference, which the trust penalty needs.',
  );
};

const checkBase = ({ name, rows, needs }: Objective): void => {
  if (rows.length === 1 && rows[0] === 'pair' && !needs.scores) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `The trust penalty is for objectives that train a policy on pairs and on nothing else, and ` +
      `${name} is none. Take one such as ipo or dpo.`,
  );
};

const betaOf = ({ name, options }: Objective, given: number | null): number => {
  const beta = given ?? options.beta;
  if (typeof beta === 'number') return beta;
  throw optionError('withTrust', 'beta', given, `Give a number: ${name} has no beta of its own.`);
};

/**
 * An objective on pairs with the penalty added; its rows need gaps. Throws OPTION_INVALID, and while
 * it is evaluated DATA_INVALID.
 */
export const withTrust = (base: Objective, given: TrustOptions = {}): Objective => {
  const { lambda, beta: own, form } = resolveOptions('withTrust', specs, given as GivenOptions);
  checkBase(base);
  const beta = betaOf(base, own);
  const evaluate: Objective['evaluate'] = (rows, totals): Evaluation => {
    const result = base.evaluate(rows, totals);
    const gaps = rows.map(gapOf);
    // The gap is the pair's: of the prompt and both responses, like H2O's of state and action.
    const rewards = rows.flatMap(({ sequences }) =>
      sequences.map((sequence) => beta * logRatioOf(sequence)),
    );
    const shares = logShares(gaps.flatMap((gap) => [gap, gap]));
    const { value, slopes } = penalties[form](rewards, shares);
    const gradients = result.gradients.map((pair, r) =>
      pair.map((gradient, s) => {
        const slope = lambda * beta * slopes[2 * r + s]!;
        const logProbs = Float32Array.from(
          rows[r]!.sequences[s]!.logProbs,
          (_, token) => (gradient.logProbs?.[token] ?? 0) + slope,
        );
        return { ...gradient, logProbs };
      }),
    );
    const metrics = {
      ...result.metrics,
      'trust/gap': meanOver(gaps, (gap) => gap),
      'trust/penalty': { sum: value, weight: 1 },
    };
    return { loss: result.loss + lambda * value, gradients, metrics };
  };
  return {
    ...base,
    name: `${base.name}+trust`,
    options: { ...base.options, trust: { lambda, beta, form } },
    needs: { ...base.needs, reference: true },
    // Shares are of the whole batch.
    coupled: true,
    evaluate,
  };
};
