// Weights of pairs, for every objective of the list that takes pairs: a pair of weight 2 is the pair
// twice, in numerators and denominators.
import test from 'ava';
import { objectives } from '../../src/objectives/index.js';
import type { Evaluation, Row, SequenceGradient } from '../../src/objectives/objective.js';
import { assertError } from '../checkpoint/helpers.js';
import { evaluateAll, gradientAt, numericalGradient, places, rowsFor } from './helpers.js';
import { assertClose, build, numbersOf, titleOf, variants } from './variants.js';

const onPairs = variants.filter(({ entry }) => entry.make().rows.includes('pair'));

const withWeights = (rows: readonly Row[], weights: readonly number[]): Row[] =>
  rows.map((row, r) =>
    row.kind === 'pair' ? { ...row, weight: weights[r % weights.length]! } : row,
  );

const sumOf = (a: SequenceGradient, b: SequenceGradient): SequenceGradient =>
  Object.fromEntries(
    Object.entries(a).map(([name, by]: [string, number | Float32Array]) => {
      const other = b[name as keyof SequenceGradient]!;
      return [
        name,
        typeof by === 'number'
          ? by + (other as number)
          : by.map((value, i) => value + (other as Float32Array)[i]!),
      ];
    }),
  );

/** Of rows that follow each other twice, as of the row once. */
const merged = (evaluation: Evaluation, copies: readonly number[]): Evaluation => {
  let at = 0;
  const gradients = copies.map((count) => {
    const own = evaluation.gradients.slice(at, (at += count));
    return own[0]!.map((gradient, s) => (count === 1 ? gradient : sumOf(gradient, own[1]![s]!)));
  });
  return { ...evaluation, gradients };
};

test('a pair of weight 2 is the pair twice', (t) => {
  for (const variant of onPairs) {
    const built = build(variant, 21);
    if (!built) continue;
    const { objective, rows } = built;
    const copies = rows.map(({ kind }, r) => (kind === 'pair' && r % 2 === 0 ? 2 : 1));
    const twice = rows.flatMap((row, r) => Array.from({ length: copies[r]! }, () => row));
    const weighted = evaluateAll(objective, withWeights(rows, [2, 1]));
    const expected = merged(evaluateAll(objective, twice), copies);
    // Gradients are float32, and are added in another order.
    assertClose(t, numbersOf(weighted), numbersOf(expected), 1e-6);
  }
});

test('where all weights are 1 nothing changes, bit for bit', (t) => {
  for (const variant of onPairs) {
    const built = build(variant, 22);
    if (!built) continue;
    const { objective, rows } = built;
    const weighted = evaluateAll(objective, withWeights(rows, [1]));
    t.deepEqual(weighted, evaluateAll(objective, rows), titleOf(variant));
  }
});

test('the gradient of a weighted loss is its derivative', (t) => {
  // hypo.test.ts has the derivative of an expectation, which that of its samples is not.
  for (const variant of onPairs.filter(({ entry }) => entry.name !== 'hypo')) {
    const built = build(variant, 23);
    if (!built) continue;
    const rows = withWeights(built.rows, [0.05, 0.7, 1.3, 0.4]);
    const evaluation = evaluateAll(built.objective, rows);
    const where = places(rows);
    // As in gradients.test.ts.
    assertClose(
      t,
      where.map((place) => gradientAt(evaluation, place)),
      where.map((place) => numericalGradient(built.objective, rows, place)),
      2e-6,
    );
  }
});

test('metrics describe the rows, whatever they weigh', (t) => {
  for (const entry of objectives.filter((each) => each.make().rows.includes('pair'))) {
    const { objective, rows } = build({ entry, given: {} }, 24)!;
    if (objective.coupled) continue;
    const { metrics } = evaluateAll(objective, withWeights(rows, [0.2, 3]));
    const plain = evaluateAll(objective, rows).metrics;
    const accuracy = 'rewards/accuracies' in plain ? 'rewards/accuracies' : 'accuracy';
    t.deepEqual(metrics[accuracy], plain[accuracy], entry.name);
  }
});

test('weights are refused where they would not act, or make no sense', (t) => {
  const refused = (name: string, weight: number, ...parts: string[]): void => {
    const objective = objectives.find((entry) => entry.name === name)!.make();
    const rows = rowsFor(objective, 25).map((row) => ({ ...row, weight }));
    assertError(
      t,
      t.throws(() => evaluateAll(objective, rows)),
      'DATA_INVALID',
      ...parts,
    );
  };
  refused('kto', 2, 'completion with a weight');
  refused('grpo', 2, 'group with a weight');
  refused('ipo', 0, 'weight 0', 'above 0');
  refused('dpo', Number.NaN, 'weight NaN');
});
