// For every objective of the list and every option: the gradient is the derivative of the loss, and
// the option has an effect.
import test from 'ava';
import { objectives } from '../../src/objectives/index.js';
import type { ObjectiveEntry } from '../../src/objectives/objective.js';
import { evaluateAll, gradientAt, numericalGradient, places } from './helpers.js';
import { assertClose, build, numbersOf, titleOf, variants, type Variant } from './variants.js';

/**
 * The derivative of an expectation that is sampled is not that of the sample's value: hypo.test.ts
 * compares the former with the exact derivative.
 */
const usesScoreFunction = (entry: ObjectiveEntry): boolean => entry.name === 'hypo';

/** What acts outside of one call of `evaluate`, and where. */
const actsElsewhere: Readonly<Record<string, string>> = {
  'ppo.klTarget': 'the KL coefficient changes from one batch to the next',
  'rloo.rewardMin=0': 'rewards of the random rows are never below 0',
};

const isElsewhere = ({ entry, option, given }: Variant): boolean =>
  `${entry.name}.${option}` in actsElsewhere ||
  `${entry.name}.${option}=${String(given[option!])}` in actsElsewhere;

for (const variant of variants.filter(({ entry }) => !usesScoreFunction(entry))) {
  test(`the gradient is the derivative of the loss: ${titleOf(variant)}`, (t) => {
    for (const seed of [1, 2, 3]) {
      const built = build(variant, seed);
      if (!built) continue;
      const { objective, rows } = built;
      const evaluation = evaluateAll(objective, rows);
      const where = places(rows);
      // A central difference at 1e-5 in double is good to about 1e-9; gradients are float32.
      assertClose(
        t,
        where.map((place) => gradientAt(evaluation, place)),
        where.map((place) => numericalGradient(objective, rows, place)),
        2e-6,
      );
    }
    t.pass();
  });
}

test('where chosen and rejected response are the same the gradient is right too', (t) => {
  for (const entry of objectives.filter((one) => !usesScoreFunction(one))) {
    const { objective, rows } = build({ entry, given: {} }, 4)!;
    // Equal log-ratios have no order: the loss on sorted ones has a kink there.
    if (!objective.rows.includes('pair') || entry.name.startsWith('aot')) continue;
    const tied = rows.map((row) => ({
      ...row,
      sequences: row.sequences.map((_, s) => ({ ...row.sequences[0]!, fromReference: s === 0 })),
    }));
    const evaluation = evaluateAll(objective, tied);
    const where = places(tied);
    assertClose(
      t,
      where.map((place) => gradientAt(evaluation, place)),
      where.map((place) => numericalGradient(objective, tied, place)),
      2e-6,
    );
    for (const name of ['rewards/accuracies', 'accuracy']) {
      t.is(evaluation.metrics[name]?.sum ?? 0, 0, entry.name);
    }
  }
});

test('some gradients differ from zero in every objective', (t) => {
  for (const entry of objectives) {
    const { objective, rows } = build({ entry, given: {} }, 5)!;
    const [, ...gradients] = numbersOf(evaluateAll(objective, rows));
    t.true(
      gradients.some((value) => Math.abs(value) > 1e-6),
      entry.name,
    );
  }
});

for (const variant of variants.filter((one) => one.option && !isElsewhere(one))) {
  test(`the option acts or is refused: ${titleOf(variant)}`, (t) => {
    const acts = [1, 2, 3, 4].some((seed) => {
      const built = build(variant, seed);
      if (!built) return true;
      const plain = build({ entry: variant.entry, given: {} }, seed)!;
      const [a, b] = [built, plain].map(({ objective, rows }) =>
        numbersOf(evaluateAll(objective, rows)),
      );
      return a!.length !== b!.length || a!.some((x, i) => x !== b![i]);
    });
    t.true(acts);
  });
}
