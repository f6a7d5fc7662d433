// What the loss of an optimiser step is a mean over, and how metrics of parts are joined.
import { AlignlabError } from '../errors.js';
import type { Mean, Totals } from '../objectives/objective.js';
import type { Example } from '../text/example.js';
import { scoredTokens } from './passes.js';

/**
 * 'step': over all examples (or tokens) of the optimiser step, however it is cut into passes.
 * microBatch: a mean over each so many examples, then the mean of those means, as TRL's trainers
 * do with gradient accumulation. The two differ where a loss divides by tokens, and for losses
 * that couple rows. Metrics are averaged in the same way.
 */
export type Normalization = 'step' | { readonly microBatch: number };

export const checkNormalization = (normalization: Normalization): void => {
  if (normalization === 'step') return;
  const n = (normalization as { microBatch?: unknown } | null)?.microBatch;
  if (Number.isSafeInteger(n) && (n as number) >= 1) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    "normalization must be 'step' or { microBatch: n } with a whole number n from 1 up.",
  );
};

/** The parts that the step's loss is a mean of. */
export const scopesOf = <T>(
  items: readonly T[],
  normalization: Normalization,
): (readonly T[])[] => {
  if (normalization === 'step') return [items];
  const { microBatch } = normalization;
  const count = Math.ceil(items.length / microBatch);
  return Array.from({ length: count }, (_, i) => items.slice(i * microBatch, (i + 1) * microBatch));
};

export const totalsOf = (examples: readonly Example[]): Totals => {
  const of = (kind: Example['kind']) => examples.filter((example) => example.kind === kind);
  const weightOf = ({ weight = 1 }: Example): number => weight;
  const tokens = (list: readonly Example[], response: number): number =>
    list.reduce((sum, example) => sum + weightOf(example) * scoredTokens(example, response), 0);
  const pairs = of('pair');
  const completions = of('completion');
  const groups = of('group');
  return {
    pairs: pairs.reduce((sum, pair) => sum + weightOf(pair), 0),
    completions: completions.length,
    groups: groups.length,
    samples: groups.reduce((sum, { responses }) => sum + responses.length, 0),
    chosenTokens: tokens(pairs, 0),
    rejectedTokens: tokens(pairs, 1),
    completionTokens: tokens(completions, 0),
    sampleTokens: groups.reduce(
      (sum, group) => sum + group.responses.reduce((n, _, r) => n + scoredTokens(group, r), 0),
      0,
    ),
    promptTokens: examples.reduce(
      (sum, example) => sum + weightOf(example) * Math.max(0, example.prompt.length - 1),
      0,
    ),
  };
};

export type Means = Readonly<Record<string, Mean>>;

/** Mean of the scopes' means; a scope in which a metric has no weight is left out of it. */
export const meanOfScopes = (scopes: readonly Means[]): Record<string, number> => {
  const values = new Map<string, number[]>();
  for (const metrics of scopes) {
    for (const [name, { sum, weight }] of Object.entries(metrics)) {
      if (weight === 0) continue;
      values.set(name, [...(values.get(name) ?? []), sum / weight]);
    }
  }
  return Object.fromEntries(
    [...values].map(([name, list]) => [name, list.reduce((a, b) => a + b, 0) / list.length]),
  );
};
