// Weights of pairs, for every objective at once. The shares of single rows add up to an uncoupled
// loss, so that a weight multiplies its row's share; the totals count weights already.
import { sumOf } from './math.js';
import type { Evaluation, Objective, Row, SequenceGradient, Totals } from './objective.js';

export const weightOf = ({ weight = 1 }: Row): number => weight;

/** What is wrong with a row's weight; null where it has none, or one that can be applied. */
export const weightProblem = ({ kind, weight }: Row): string | null => {
  if (weight === undefined) return null;
  if (kind !== 'pair') return `is a ${kind} with a weight; only pairs have weights.`;
  return weight > 0 && weight < Infinity
    ? null
    : `has the weight ${weight}. Weights are finite numbers above 0.`;
};

const scaledBy = (gradient: SequenceGradient, weight: number): SequenceGradient =>
  Object.fromEntries(
    Object.entries(gradient).map(([name, by]: [string, number | Float32Array]) => [
      name,
      typeof by === 'number' ? weight * by : by.map((value) => weight * value),
    ]),
  );

const unweighted = ({ weight: _, ...row }: Row): Row => row;

/** Metrics describe the rows as they are: each counts once. */
const weighted = (objective: Objective, rows: readonly Row[], totals: Totals): Evaluation => {
  const plain = rows.map(unweighted);
  const shares = plain.map((row) => objective.evaluate([row], totals));
  return {
    ...objective.evaluate(plain, totals),
    loss: sumOf(shares.map(({ loss }, r) => weightOf(rows[r]!) * loss)),
    gradients: shares.map(({ gradients: [own] }, r) =>
      own!.map((gradient) => scaledBy(gradient, weightOf(rows[r]!))),
    ),
  };
};

/** As `objective.evaluate`, with weights; where all are 1 it is that call itself, bit for bit. */
export const evaluateWeighted = (
  objective: Objective,
  rows: readonly Row[],
  totals: Totals,
): Evaluation =>
  objective.coupled || rows.every((row) => weightOf(row) === 1)
    ? objective.evaluate(rows, totals)
    : weighted(objective, rows, totals);
