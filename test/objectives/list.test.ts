// What holds for every objective of the list, whoever adds one.
import test from 'ava';
import { AlignlabError } from '../../src/errors.js';
import { objectiveEntry, objectives } from '../../src/objectives/index.js';
import type { Row } from '../../src/objectives/objective.js';
import { doubles, evaluateAll, evaluateApart, freshRows, randomRows, rowsFor } from './helpers.js';
import { assertClose, build, numbersOf, titleOf, variants } from './variants.js';

/** Extremes, and kto's difference of two class means (a single completion has none). */
const isOfOneEvaluation = (objective: string, metric: string): boolean =>
  /^(min|max)_|\/(min|max)$/.test(metric) || (objective === 'kto' && metric === 'rewards/margins');

test('parts of a batch add up to the whole, in loss, gradients and metrics', (t) => {
  for (const variant of variants) {
    const built = build(variant, 7);
    if (!built || built.objective.coupled) continue;
    const whole = evaluateAll(built.objective, built.rows);
    const parts = evaluateApart(built.objective, built.rows);
    const loss = parts.reduce((sum, part) => sum + part.loss, 0);
    const gradients = parts.flatMap((part) => part.gradients);
    assertClose(t, numbersOf({ ...whole, loss, gradients }), numbersOf(whole), 1e-6);
    for (const [name, { sum, weight }] of Object.entries(whole.metrics)) {
      if (isOfOneEvaluation(variant.entry.name, name)) continue;
      const merged = parts.map((part) => part.metrics[name] ?? { sum: 0, weight: 0 });
      const total = (of: 'sum' | 'weight'): number => merged.reduce((all, one) => all + one[of], 0);
      t.true(Math.abs(total('weight') - weight) < 1e-9, `${titleOf(variant)}: weight of ${name}`);
      t.true(
        Math.abs(total('sum') - sum) < 1e-6 * (1 + Math.abs(sum)),
        `${titleOf(variant)}: ${name}`,
      );
    }
  }
});

test('a loss that depends on the other rows is declared coupled', (t) => {
  const coupled = objectives.map((entry) => entry.make()).filter((objective) => objective.coupled);
  for (const objective of coupled) {
    // Enough rows that some of them change places.
    const rows = rowsFor(objective, 9, { rows: 12 });
    const parts = evaluateApart(objective, rows).flatMap((part) => part.gradients);
    const whole = evaluateAll(objective, rows);
    t.notDeepEqual(parts, whole.gradients, objective.name);
  }
});

test('the order of rows does not count', (t) => {
  for (const variant of variants) {
    const built = build(variant, 11);
    if (!built) continue;
    const { objective, rows } = built;
    const forward = evaluateAll(objective, rows);
    const backward = evaluateAll(objective, rows.toReversed());
    const gradients = backward.gradients.toReversed();
    assertClose(t, numbersOf({ ...backward, gradients }), numbersOf(forward), 1e-6);
  }
});

/** Policy, behaviour, reference and critic as they are before the first step. */
const atStart = (rows: readonly Row[]): Row[] =>
  rows.map((row) => ({
    ...row,
    mismatched: { policy: -4, reference: -4 },
    sequences: row.sequences.map((sequence) => ({
      ...sequence,
      reference: sequence.logProbs,
      behaviour: sequence.logProbs,
      exactKl: doubles(Array.from(sequence.logProbs, () => 0)),
      oldValues: sequence.values!,
    })),
  }));

test('while the policy equals the reference the loss is what the objective says', (t) => {
  let known = 0;
  for (const variant of variants) {
    const built = build(variant, 13);
    const expected = built?.objective.lossAtStart?.();
    if (!built || expected === undefined) continue;
    const { objective } = built;
    const fresh = atStart(freshRows(objective, 13));
    const rows = objective.prepare?.(fresh) ?? fresh;
    const { loss, metrics } = evaluateAll(objective, rows);
    t.true(Math.abs(loss - expected) < 1e-9 * (1 + expected), `${titleOf(variant)}: ${loss}`);
    for (const name of ['rewards/chosen', 'rewards/accuracies', 'rewards/margins']) {
      t.is(metrics[name]?.sum ?? 0, 0, `${titleOf(variant)}: ${name}`);
    }
    known += 1;
  }
  t.true(known > 20);
});

test('known losses at the start', (t) => {
  const start = (name: string, given = {}): number =>
    objectiveEntry(name).make(given).lossAtStart!();
  t.is(start('dpo'), Math.LN2);
  t.is(start('ipo'), 25);
  t.is(start('ipo', { beta: 0.5 }), 1);
  t.true(Math.abs(start('ipo', { scale: 'paper' }) - 0.25) < 1e-15);
  t.is(start('kto'), 0.5);
  t.is(start('hinge'), 1);
  t.false('lossAtStart' in objectiveEntry('kto').make({ undesirableWeight: 2 }));
  t.false('lossAtStart' in objectiveEntry('dpo').make({ referenceFree: true }));
  t.false('lossAtStart' in objectiveEntry('orpo').make());
});

const extremes = [-1e3, -1e4, -200, -1e-8, 0];

test('loss, gradients and metrics are finite at the extremes', (t) => {
  for (const variant of variants) {
    const built = build(variant, 17);
    if (!built) continue;
    for (const policy of extremes) {
      for (const reference of extremes) {
        const rows = built.rows.map((row) => ({
          ...row,
          mismatched: { policy, reference },
          sequences: row.sequences.map((sequence, s) => {
            // Chosen and rejected go opposite ways.
            const [own, other] = s % 2 === 0 ? [policy, reference] : [reference, policy];
            const all = (value: number) => doubles(Array.from(sequence.logProbs, () => value));
            return {
              ...sequence,
              logProbs: all(own),
              reference: all(other),
              behaviour: all(other),
              score: own - other,
            };
          }),
        }));
        const evaluation = evaluateAll(built.objective, rows);
        const where = `${titleOf(variant)} at ${policy}, ${reference}`;
        t.true(numbersOf(evaluation).every(Number.isFinite), where);
        t.true(
          Object.values(evaluation.metrics).every(({ sum }) => Number.isFinite(sum)),
          where,
        );
      }
    }
  }
});

test('rows of another kind, and incomplete rows, are refused by number and name', (t) => {
  for (const entry of objectives) {
    const objective = entry.make();
    const rows = rowsFor(objective, 19);
    const totalsLike = (bad: Row): Row[] => [...rows.slice(0, 1), bad];
    const refused = (bad: Row, pattern: RegExp): void => {
      const error = t.throws(() => evaluateAll(objective, totalsLike(bad)), {
        instanceOf: AlignlabError,
      });
      t.is(error.code, 'DATA_INVALID', entry.name);
      t.regex(error.message, pattern, entry.name);
    };
    for (const kind of ['pair', 'completion', 'group'] as const) {
      if (objective.rows.includes(kind)) continue;
      const [wrong] = randomRows({ kind, seed: 19, rows: 1 });
      refused(wrong!, new RegExp(`Row 1 is a ${kind}; ${entry.name} takes`));
    }
    const { kind, sequences } = rows[0]!;
    if (kind !== 'group') {
      refused({ ...rows[0]!, sequences: [...sequences, ...sequences] }, /Row 1 has \d responses/);
    }
    if (objective.needs.scores) {
      const scoreless = sequences.map(({ score: _, ...rest }) => rest);
      refused({ ...rows[0]!, sequences: scoreless }, /Row 1 has no score/);
      continue;
    }
    const empty = sequences.map((one) => ({ ...one, logProbs: new Float32Array(0) }));
    refused({ ...rows[0]!, sequences: empty }, /Row 1 has no tokens/);
    if (objective.needs.reference) {
      const without = sequences.map(({ reference: _, ...rest }) => rest);
      refused({ ...rows[0]!, sequences: without }, /Row 1 has no reference/);
      const long = sequences.map((one) => ({
        ...one,
        reference: doubles([-1, -1, -1, -1, -1, -1]),
      }));
      refused({ ...rows[0]!, sequences: long }, /Row 1 has 6 reference for the \d tokens/);
    }
  }
});

test('evaluate is pure: rows are left alone and a second call gives the same', (t) => {
  for (const entry of objectives) {
    const objective = entry.make();
    const rows = rowsFor(objective, 23);
    const before = structuredClone(rows);
    const first = evaluateAll(objective, rows);
    t.deepEqual(evaluateAll(objective, rows), first, entry.name);
    t.deepEqual(rows, before, entry.name);
  }
});

test('every gradient is a Float32Array of the length of its input', (t) => {
  for (const variant of variants) {
    const built = build(variant, 29);
    if (!built) continue;
    const rows = rowsFor(built.objective, 29, { double: false });
    const { gradients } = evaluateAll(built.objective, rows);
    t.is(gradients.length, rows.length);
    gradients.forEach((row, r) => {
      const { sequences } = rows[r]!;
      t.is(row.length, sequences.length);
      row.forEach(({ logProbs, entropies, promptLogProbs, values }, s) => {
        for (const [name, found] of Object.entries({
          logProbs,
          entropies,
          promptLogProbs,
          values,
        })) {
          if (found === undefined) continue;
          t.true(found instanceof Float32Array, `${titleOf(variant)}: ${name}`);
          const input = sequences[s]![name as 'logProbs'];
          t.is(found.length, input.length, `${titleOf(variant)}: ${name}`);
        }
      });
    });
  }
});

test('names are unique, in kebab case, and every entry is documented', (t) => {
  const names = objectives.map(({ name }) => name);
  t.is(new Set(names).size, names.length);
  for (const { name, title, paper, options } of objectives) {
    t.regex(name, /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
    t.true(title.length > 5, name);
    t.regex(paper, /\d{4}/, name);
    for (const [option, { help }] of Object.entries(options)) {
      t.regex(option, /^[a-z][A-Za-z0-9]*$/, name);
      t.true(help.length > 5, `${name}.${option}`);
    }
  }
});

test('resolved options are recorded, and make the same objective again', (t) => {
  for (const variant of variants) {
    const built = build(variant, 31);
    if (!built) continue;
    const { options } = built.objective;
    t.deepEqual(Object.keys(options), Object.keys(variant.entry.options), titleOf(variant));
    t.deepEqual(variant.entry.make(options).options, options, titleOf(variant));
  }
});
