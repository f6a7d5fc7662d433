// What a trained member's networks say about transitions: û, ω and w against a feature of the state,
// and Q on real and on simulated states (Niu et al. 2022, their figures on the weights).
import type { Learner, Transitions } from '../../control/index.js';
import { meanOf } from '../../numbers.js';

/** Means over the transitions of a bin. */
export interface Bin {
  /** Of the feature. */
  readonly at: number;
  readonly count: number;
  /** û, nats. */
  readonly gap: number;
  /** ω in multiples of the uniform weight. */
  readonly omega: number;
  /** w = clamp(P_real / P_sim) in [1e-5, 1]. */
  readonly weight: number;
}

export interface Reading {
  /** Of equally many simulated transitions each, by the rising feature; empty without discriminators. */
  readonly bins: readonly Bin[];
  readonly meanW: number | null;
  readonly meanRootW: number | null;
  /** Part of the simulated transitions with w at its floor exp(-2c), within 5 % of the log. */
  readonly floorFraction: number | null;
  /** Variance of √w times the first critic's values: S3.9 wants it finite. */
  readonly weightedVariance: number | null;
  /** Mean of the lower critic on recorded actions. */
  readonly qReal: number | null;
  readonly qSim: number | null;
  /** The same on the tenth of the simulated transitions with the largest ω. */
  readonly qTopOmega: number | null;
}

const variance = (values: readonly number[]): number => {
  const middle = meanOf(values);
  return meanOf(values.map((value) => (value - middle) ** 2));
};

/** Ranges of an order, in equally many parts. */
export const partsOf = (order: readonly number[], parts: number): number[][] =>
  Array.from({ length: parts }, (_, k) =>
    order.slice(
      Math.floor((k * order.length) / parts),
      Math.floor(((k + 1) * order.length) / parts),
    ),
  ).filter((part) => part.length > 0);

/** Indices by rising value; equal ones in their order. */
export const orderOf = (values: ArrayLike<number>): number[] =>
  Array.from({ length: values.length }, (_, i) => i).sort(
    (a, b) => values[a]! - values[b]! || a - b,
  );

const select = (values: ArrayLike<number>, indices: readonly number[]): number[] =>
  indices.map((i) => values[i]!);

const lowerOf = (q1: Float32Array, q2: Float32Array): Float32Array =>
  q1.map((value, i) => Math.min(value, q2[i]!));

interface Signals {
  readonly gap: Float32Array;
  readonly omega: Float32Array;
  readonly weight: Float32Array;
}

const binsOf = (
  feature: Float32Array,
  { gap, omega, weight }: Signals,
  count: number,
): readonly Bin[] =>
  partsOf(orderOf(feature), count).map((part) => ({
    at: meanOf(select(feature, part)),
    count: part.length,
    gap: meanOf(select(gap, part)),
    omega: meanOf(select(omega, part)),
    weight: meanOf(select(weight, part)),
  }));

const spaced = (learner: Learner, source: number | 'real', count: number): Transitions => {
  const size = learner.size(source);
  return learner.transitions(source, {
    first: Math.max(0, size - count),
    count: Math.min(size, count),
  });
};

const column = ({ obs, n }: Transitions, width: number, index: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => obs[i * width + index]!);

export interface ReadingOptions {
  /** The newest simulated transitions, and the last of the real data. */
  readonly count: number;
  /** Index into observations. */
  readonly feature: number;
  readonly bins: number;
}

const withoutWeights = {
  bins: [],
  meanW: null,
  meanRootW: null,
  floorFraction: null,
  weightedVariance: null,
  qTopOmega: null,
} as const;

const weightsOf = (
  learner: Learner,
  sim: Transitions,
  q: Float32Array,
  found: { readonly logRatio?: Float32Array; readonly gap?: Float32Array },
  { feature, bins }: ReadingOptions,
): Omit<Reading, 'qReal' | 'qSim'> => {
  const { logRatio, gap } = found;
  if (!logRatio || !gap) return withoutWeights;
  const { obsDim, discriminator = {} } = learner.options;
  const lowest = -2 * (discriminator.logitScale ?? 2);
  const weight = logRatio.map((value) => Math.min(1, Math.max(1e-5, Math.exp(value))));
  const meanGap = meanOf(gap);
  const omega = gap.map((value) => value / meanGap);
  const top = orderOf(omega).slice(Math.floor(0.9 * omega.length));
  return {
    bins: binsOf(column(sim, obsDim, feature), { gap, omega, weight }, bins),
    meanW: meanOf(weight),
    meanRootW: meanOf(weight.map(Math.sqrt)),
    floorFraction: logRatio.filter((value) => value < 0.95 * lowest).length / logRatio.length,
    weightedVariance: variance(Array.from(weight, (value, i) => Math.sqrt(value) * q[i]!)),
    qTopOmega: meanOf(select(q, top)),
  };
};

/** Reads a member. The simulated transitions are the newest, the real ones the last of the data. */
export const readMember = (learner: Learner, member: number, options: ReadingOptions): Reading => {
  const meanQ = (transitions: Transitions): number | null => {
    if (transitions.n === 0) return null;
    const { q1, q2 } = learner.inspect(transitions, member);
    return meanOf(lowerOf(q1, q2));
  };
  const { algorithm } = learner.options;
  const qReal = algorithm === 'sac' ? null : meanQ(spaced(learner, 'real', options.count));
  if (algorithm === 'cql') return { ...withoutWeights, qReal, qSim: null };
  const sim = spaced(learner, member, options.count);
  const { q1, q2, ...found } = learner.inspect(sim, member);
  const q = lowerOf(q1, q2);
  return { ...weightsOf(learner, sim, q, found, options), qReal, qSim: meanOf(q) };
};
