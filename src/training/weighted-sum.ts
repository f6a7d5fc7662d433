// Several losses on the same rows, added up (TRL's list of loss_type with loss_weights; MPO).
import { AlignlabError } from '../errors.js';
import type { Evaluation, Mean, Objective, SequenceGradient } from '../objectives/objective.js';

const addArrays = (
  parts: readonly (readonly [Float32Array | undefined, number])[],
): Float32Array | undefined => {
  const length = parts.find(([values]) => values)?.[0]?.length;
  if (length === undefined) return undefined;
  const sum = new Float32Array(length);
  for (const [values, weight] of parts) values?.forEach((x, i) => (sum[i]! += weight * x));
  return sum;
};

const arrayNames = ['logProbs', 'entropies', 'promptLogProbs', 'values'] as const;

const addGradients = (
  gradients: readonly SequenceGradient[],
  weights: readonly number[],
): SequenceGradient => {
  const score = gradients.reduce((sum, { score: s = 0 }, i) => sum + weights[i]! * s, 0);
  const arrays = arrayNames.flatMap((name) => {
    const sum = addArrays(gradients.map((gradient, i) => [gradient[name], weights[i]!]));
    return sum ? [[name, sum] as const] : [];
  });
  return { ...Object.fromEntries(arrays), ...(score === 0 ? {} : { score }) };
};

/** Metrics of the first that has them: rewards and log-probabilities are the same for all. */
const joined = (evaluations: readonly Evaluation[]): Record<string, Mean> =>
  Object.assign({}, ...evaluations.map(({ metrics }) => metrics).reverse()) as Record<string, Mean>;

/** sum over i of weights[i] times losses[i]; each loss must be of finite weight. */
export const weightedSum = (
  losses: readonly Objective[],
  weights: readonly number[],
): Objective => {
  const [first] = losses;
  if (!first || losses.length !== weights.length || !weights.every(Number.isFinite)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `There are ${weights.length} loss weights for ${losses.length} losses; give a finite number for each.`,
    );
  }
  if (losses.some((loss) => loss.prepare !== undefined || loss.adaptation)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      'Losses that prepare batches of samples cannot be added to others.',
    );
  }
  const starts = losses.map((loss) => loss.lossAtStart?.());
  const start = starts.reduce<number>((sum, x, i) => sum + weights[i]! * (x ?? Number.NaN), 0);
  return {
    name: losses.map(({ name }) => name).join('+'),
    rows: first.rows.filter((kind) => losses.every(({ rows }) => rows.includes(kind))),
    needs: Object.assign({}, ...losses.map(({ needs }) => needs)) as Objective['needs'],
    options: { weights, losses: losses.map(({ name, options }) => ({ name, options })) },
    ...(losses.some(({ coupled }) => coupled) ? { coupled: true } : {}),
    evaluate: (rows, totals) => {
      const parts = losses.map((loss) => loss.evaluate(rows, totals));
      return {
        loss: parts.reduce((sum, { loss }, i) => sum + weights[i]! * loss, 0),
        gradients: rows.map((row, r) =>
          row.sequences.map((_, s) =>
            addGradients(
              parts.map(({ gradients }) => gradients[r]![s]!),
              weights,
            ),
          ),
        ),
        metrics: joined(parts),
      };
    },
    ...(Number.isFinite(start) ? { lossAtStart: () => start } : {}),
  };
};
