// Groups of sampled responses, written down by hand or as they are before the first step.
import type { Row, Sequence } from '../../src/objectives/objective.js';
import { doubles, randomRows } from './helpers.js';

export const group = (...sequences: Sequence[]): Row => ({ kind: 'group', sequences });

/** A response whose ratio at each token is exactly 1; one token's log-probability is `logProb`. */
export const response = (
  length: number,
  rest: Partial<Sequence> = {},
  logProb = -0.7,
): Sequence => {
  const filled = (value: number): Float32Array => doubles(new Array<number>(length).fill(value));
  return {
    logProbs: filled(logProb),
    behaviour: filled(logProb),
    reference: filled(logProb),
    entropies: filled(1),
    values: filled(0),
    oldValues: filled(0),
    reward: 0,
    ...rest,
  };
};

/** Random groups of 4, the policy as it was when it drew them; rewards as given. */
export const freshGroups = (
  seed: number,
  rewards: readonly (readonly (number | null)[])[],
): Row[] =>
  randomRows({ kind: 'group', seed, rows: rewards.length }).map((row, r) => ({
    ...row,
    sequences: row.sequences.map((sequence, s) => ({
      ...sequence,
      behaviour: sequence.logProbs,
      oldValues: sequence.values!,
      reward: rewards[r]![s]!,
      truncated: false,
    })),
  }));

export const withSequences = (row: Row, change: (one: Sequence, s: number) => Sequence): Row => ({
  ...row,
  sequences: row.sequences.map(change),
});
