// Metrics, symmetries and lengths of the losses on pairs and on single completions.
import test from 'ava';
import { AlignlabError } from '../../src/errors.js';
import { log1mexp, logSigmoid, sigmoid } from '../../src/objectives/math.js';
import { objectiveEntry, objectives } from '../../src/objectives/index.js';
import type { Mean, Row, Sequence } from '../../src/objectives/objective.js';
import { pairwise } from '../../src/objectives/pairwise.js';
import { trlCpoLosses, trlDpoLosses } from '../../src/objectives/trl.js';
import { doubles, evaluateAll, randomRows, totalsOf } from './helpers.js';
import { assertNear } from './near.js';

const make = (name: string, given = {}) => objectiveEntry(name).make(given);

const meanOf = ({ sum, weight }: Mean): number => sum / weight;

const sequence = (logProbs: number[], reference: number[]): Sequence => ({
  logProbs: doubles(logProbs),
  reference: doubles(reference),
  promptLogProbs: doubles([]),
});

const swapped = (row: Row): Row => ({ ...row, sequences: row.sequences.toReversed() });

test('metrics are those of TRL: rewards of log-ratios, strict accuracy, sums of log-probabilities', (t) => {
  const tie = sequence([-1, -2], [-1, -2]);
  const rows: Row[] = [
    { kind: 'pair', sequences: [sequence([-1, -1], [-2, -1]), sequence([-3], [-1])] },
    { kind: 'pair', sequences: [tie, tie] },
  ];
  const { metrics } = evaluateAll(make('dpo', { beta: 0.5 }), rows);
  t.deepEqual(metrics, {
    'rewards/chosen': { sum: 0.5, weight: 2 },
    'rewards/rejected': { sum: -1, weight: 2 },
    'rewards/accuracies': { sum: 1, weight: 2 },
    'rewards/margins': { sum: 1.5, weight: 2 },
    'logps/chosen': { sum: -5, weight: 2 },
    'logps/rejected': { sum: -6, weight: 2 },
  });
  const means = evaluateAll(make('simpo'), rows).metrics;
  t.is(means['logps/chosen']!.sum, -2.5);
  t.is(means['rewards/rejected']!.sum, 2 * -4.5);
  t.is(means.nll_loss!.sum, 0);
  t.is(meanOf(evaluateAll(make('cpo'), rows).metrics.nll_loss!), 5 / 4);
});

test('entropy is the mean over the tokens of all responses, where rows have it', (t) => {
  const rows = randomRows({ kind: 'pair', seed: 3 });
  const all = rows.flatMap(({ sequences }) => sequences.flatMap((one) => [...one.entropies!]));
  const { entropy } = evaluateAll(make('dpo'), rows).metrics;
  t.is(entropy!.weight, all.length);
  assertNear(t, [entropy!.sum], [all.reduce((a, b) => a + b, 0)], 1e-12);
});

test('a response twice as long: sums double, means stay', (t) => {
  const [row] = randomRows({ kind: 'pair', seed: 7, rows: 1 });
  const twice = (values: Float32Array): Float32Array => doubles([...values, ...values]);
  const doubled: Row = {
    ...row!,
    sequences: row!.sequences.map((one) => ({
      ...one,
      logProbs: twice(one.logProbs),
      reference: twice(one.reference!),
    })),
  };
  const loss = (name: string, given: object, of: Row): number =>
    evaluateAll(make(name, given), [of]).loss;
  for (const [name, given] of [
    ['ipo', { reduction: 'mean' }],
    ['sigmoid-norm', {}],
    ['simpo', { cpoAlpha: 1 }],
    ['cpo', { lossType: 'ipo' }],
    ['orpo', { nll: 'response' }],
    ['sft', {}],
    ['bo2', {}],
  ] as const) {
    assertNear(t, [loss(name, given, doubled)], [loss(name, given, row!)], 1e-12, name);
  }
  // A loss on sums sees a margin twice as large, as with beta doubled.
  for (const name of ['dpo', 'hinge', 'nca', 'bco-pair', 'apo-zero', 'apo-down', 'discopop']) {
    const expected = loss(name, { beta: 0.2 }, row!);
    assertNear(t, [loss(name, { beta: 0.1 }, doubled)], [expected], 1e-12, name);
  }
  const ipo = loss('ipo', { beta: 0.1 }, doubled);
  assertNear(t, [ipo], [4 * loss('ipo', { beta: 0.2 }, row!)], 1e-9);
});

test('two responses that change places change the sign of the margin', (t) => {
  const rows = randomRows({ kind: 'pair', seed: 11 }).map(({ kind, sequences }) => ({
    kind,
    sequences,
  }));
  const back = rows.map(swapped);
  for (const entry of objectives.filter((one) => one.make().rows.join() === 'pair')) {
    const { metrics } = evaluateAll(entry.make(), rows);
    const mirrored = evaluateAll(entry.make(), back).metrics;
    for (const name of ['rewards/margins', 'margin']) {
      const before = metrics[name]?.sum ?? 0;
      assertNear(t, [mirrored[name]?.sum ?? 0], [-before], 1e-12, entry.name);
    }
  }
  // Smoothing by one half is the mean of both orders; so is the plain loss over both.
  const half = evaluateAll(make('dpo', { labelSmoothing: 0.5 }), rows).loss;
  const both = [rows, back].map((some) => evaluateAll(make('dpo'), some).loss);
  assertNear(t, [half], [(both[0]! + both[1]!) / 2], 1e-12);
  const there = evaluateAll(make('dpo', { labelSmoothing: 0.5 }), back).loss;
  assertNear(t, [half], [there], 1e-12);
  // The robust loss is unbiased: labels flipped with probability e have the clean loss's mean.
  const e = 0.2;
  const [given, flipped] = [rows, back].map(
    (some) => evaluateAll(make('robust', { labelSmoothing: e }), some).loss,
  );
  assertNear(t, [(1 - e) * given! + e * flipped!], [both[0]!], 1e-12);
});

test('robust and exo tend to dpo and its reverse KL; special cases coincide', (t) => {
  const rows = randomRows({ kind: 'pair', seed: 13 });
  const loss = (name: string, given = {}): number => evaluateAll(make(name, given), rows).loss;
  assertNear(t, [loss('robust', { labelSmoothing: 0 })], [loss('dpo')], 1e-12);
  assertNear(t, [loss('r-dpo', { alpha: 0 })], [loss('dpo')], 1e-12);
  const reference = { fDivergenceType: 'alpha_divergence', fAlphaDivergenceCoef: 1 };
  assertNear(t, [loss('dpo', reference)], [loss('dpo')], 1e-12);
  const near = { ...reference, fAlphaDivergenceCoef: 1.0001 };
  assertNear(t, [loss('dpo', near)], [loss('dpo')], 1e-4);
  const paper = loss('ipo', { scale: 'paper', beta: 0.3 });
  assertNear(t, [paper], [0.3 ** 2 * loss('ipo', { beta: 0.3 })], 1e-12);
  assertNear(t, [loss('cpo', { cpoAlpha: 0 })], [loss('dpo', { referenceFree: true })], 1e-12);
  // So near to 0 that 1 - exp(x) would lose its digits.
  assertNear(t, [loss('simpo', { alpha: 1e-12 })], [loss('simpo')], 1e-9);
  // At a smoothing of one half the label of exo says nothing: zero where the policy agrees.
  const tie = sequence([-1], [-1]);
  const agreeing = evaluateAll(make('exo', { labelSmoothing: 0.499999 }), [
    { kind: 'pair', sequences: [tie, tie] },
  ]);
  t.true(Math.abs(agreeing.loss) < 1e-9);
});

test('orpo keeps the sign of its gradient where probabilities are near 1 and near 0', (t) => {
  const row = (chosen: number, rejected: number): Row => ({
    kind: 'pair',
    sequences: [sequence([chosen], [0]), sequence([rejected], [0])],
  });
  for (const chosen of [0, -1e-8, -0.5, -1e4]) {
    for (const rejected of [0, -1e-8, -0.5, -1e4]) {
      const { loss, gradients } = evaluateAll(make('orpo'), [row(chosen, rejected)]);
      t.true(Number.isFinite(loss));
      const [up, down] = gradients[0]!.map(({ logProbs }) => logProbs![0]!);
      t.true(up! < 0 && Number.isFinite(up), `${chosen}, ${rejected}: ${up}`);
      t.true(down! >= 0 && Number.isFinite(down), `${chosen}, ${rejected}: ${down}`);
      if (rejected >= chosen) t.true(down! > 0, `${chosen}, ${rejected}: ${down}`);
    }
  }
});

test('orpo and sft learn the prompt where they say so', (t) => {
  const [chosen, rejected] = [sequence([-1, -2], []), sequence([-0.5], [])];
  const row: Row = {
    kind: 'pair',
    sequences: [{ ...chosen, promptLogProbs: doubles([-4, -5]) }, rejected],
  };
  const orpo = evaluateAll(make('orpo'), [row]);
  t.is(meanOf(orpo.metrics.nll_loss!), 12 / 4);
  t.deepEqual(orpo.gradients[0]![0]!.promptLogProbs, new Float32Array([-0.25, -0.25]));
  t.is(meanOf(evaluateAll(make('orpo', { nll: 'response' }), [row]).metrics.nll_loss!), 1.5);
  const sft = make('sft', { includePrompt: true });
  t.is(evaluateAll(sft, [row]).loss, 3);
  t.true(sft.needs.promptLogProbs);
  t.is(make('sft').needs.promptLogProbs, undefined);
});

test('sft learns the responses that it is told to, and only tokens of responses', (t) => {
  const rows = randomRows({ kind: 'pair', seed: 17 });
  for (const [targets, learnt] of [
    ['chosen', [true, false]],
    ['rejected', [false, true]],
    ['both', [true, true]],
  ] as const) {
    const { gradients } = evaluateAll(make('sft', { targets }), rows);
    for (const row of gradients) {
      t.deepEqual(
        row.map(({ logProbs }) => logProbs !== undefined),
        [...learnt],
      );
    }
  }
  const mixed = [...rows, ...randomRows({ kind: 'completion', seed: 17 })];
  const { completionTokens, chosenTokens } = totalsOf(mixed);
  const { gradients } = evaluateAll(make('sft'), mixed);
  const slope = -1 / (completionTokens + chosenTokens);
  assertNear(
    t,
    gradients[5]![0]!.logProbs!,
    gradients[5]![0]!.logProbs!.map(() => slope),
    1e-9,
  );
  const error = t.throws(() => evaluateAll(make('sft', { targets: 'both' }), mixed));
  t.true(error instanceof AlignlabError && error.code === 'OPTION_INVALID');
});

const completions = randomRows({ kind: 'completion', seed: 19, rows: 6 });
const withKl = (kl: number): Row[] =>
  completions.map((row) => ({ ...row, mismatched: { policy: kl - 1, reference: -1 } }));

test('kto: the KL estimate is never negative, and has no gradient of its own', (t) => {
  const objective = make('kto');
  const at = (kl: number) => evaluateAll(objective, withKl(kl));
  t.is(at(-3).loss, at(0).loss);
  t.is(at(-3).metrics.kl!.sum, 0);
  assertNear(t, [at(0.7).metrics.kl!.sum], [0.7], 1e-12);
  t.not(at(0.7).loss, at(0).loss);
  t.true(objective.coupled && objective.needs.mismatched);
  // Each gradient is that of its own term with z held.
  const { gradients } = at(0.7);
  completions.forEach(({ sequences, label }, i) => {
    const [one] = sequences;
    const sum = (values: Float32Array): number => values.reduce((a, b) => a + b, 0);
    const ratio = sum(one!.logProbs) - sum(one!.reference!);
    const value = sigmoid(0.1 * (ratio - 0.7));
    const slope = ((label ? -1 : 1) * 0.1 * value * (1 - value)) / completions.length;
    assertNear(
      t,
      gradients[i]![0]!.logProbs!,
      one!.logProbs.map(() => slope),
      1e-8,
    );
  });
});

test('kto: a batch of one class, class means, and a row without a label', (t) => {
  const desirable = withKl(0).filter(({ label }) => label);
  const { metrics, loss } = evaluateAll(make('kto'), desirable);
  t.true(Number.isFinite(loss));
  t.deepEqual(Object.keys(metrics).sort(), ['entropy', 'kl', 'logps/chosen', 'rewards/chosen']);
  const both = evaluateAll(make('kto'), withKl(0)).metrics;
  t.is(both['rewards/chosen']!.weight, 4);
  t.is(both['rewards/rejected']!.weight, 2);
  const margin = meanOf(both['rewards/chosen']!) - meanOf(both['rewards/rejected']!);
  t.is(meanOf(both['rewards/margins']!), margin);
  const [first, ...others] = withKl(0);
  const { label: _, ...unlabelled } = first!;
  const error = t.throws(() => evaluateAll(make('kto'), [...others, unlabelled]));
  t.true(error instanceof AlignlabError && error.code === 'DATA_INVALID');
  t.regex(error.message, /Row 5 has no label/);
  t.is(make('kto', { lossType: 'apo_zero_unpaired' }).needs.mismatched, undefined);
});

test('kto without a KL is apo-zero taken apart', (t) => {
  const pairs = randomRows({ kind: 'pair', seed: 23 });
  const apart = pairs.flatMap(({ sequences }) =>
    sequences.map((one, s): Row => ({ kind: 'completion', label: s === 0, sequences: [one] })),
  );
  const unpaired = evaluateAll(make('kto', { lossType: 'apo_zero_unpaired' }), apart).loss;
  assertNear(t, [2 * unpaired], [evaluateAll(make('apo-zero'), pairs).loss], 1e-12);
});

test('a new loss is ten lines: options, formula, derivatives', (t) => {
  const squaredHinge = pairwise({
    name: 'squared-hinge',
    options: { beta: { type: 'number', default: 0.1, help: 'Scale of the margin' } },
    loss: ({ chosen, rejected }, { beta }) => {
      const shortfall = Math.max(0, 1 - beta * (chosen.logRatio - rejected.logRatio));
      const slope = -2 * beta * shortfall;
      return { loss: shortfall ** 2, dChosen: slope, dRejected: -slope };
    },
  });
  const objective = squaredHinge.make({ beta: 0.5 });
  t.is(objective.lossAtStart!(), 1);
  t.deepEqual(objective.options, { beta: 0.5 });
  const row: Row = { kind: 'pair', sequences: [sequence([-1], [-2]), sequence([-2], [-2])] };
  const { loss, gradients, metrics } = evaluateAll(objective, [row]);
  t.is(loss, 0.25);
  t.deepEqual(gradients, [
    [{ logProbs: new Float32Array([-0.5]) }, { logProbs: new Float32Array([0.5]) }],
  ]);
  t.is(metrics['rewards/margins']!.sum, 0.5);
});

test('a definition without a loss is refused', (t) => {
  const error = t.throws(() => pairwise({ name: 'empty', options: {} }));
  t.true(error instanceof AlignlabError && error.code === 'OPTION_INVALID');
});

test("TRL's loss types name objectives and options of the list", (t) => {
  for (const { objective, options } of [
    ...Object.values(trlDpoLosses),
    ...Object.values(trlCpoLosses),
  ]) {
    t.notThrows(() => objectiveEntry(objective).make(options));
  }
});

test('beyond the clamp of an exponent the loss is flat, and its gradient zero', (t) => {
  const row: Row = { kind: 'pair', sequences: [sequence([-1e3], [-1]), sequence([-1], [-1])] };
  const given = { fDivergenceType: 'forward_kl' };
  const { loss, gradients } = evaluateAll(make('dpo', given), [row]);
  t.true(loss > 1e30 && Number.isFinite(loss));
  t.is(gradients[0]![0]!.logProbs![0], 0);
});

test('logarithms of probabilities near 0 and 1', (t) => {
  t.is(logSigmoid(-1000), -1000);
  t.is(logSigmoid(1000), 0);
  t.is(sigmoid(-1000), 0);
  t.is(sigmoid(1000), 1);
  assertNear(t, [logSigmoid(0), logSigmoid(-40)], [-Math.LN2, -40], 1e-15);
  // log(1 - e^x) is log(-x) for x near 0, and -e^x far from it.
  assertNear(t, [log1mexp(-1e-8)], [Math.log(1e-8) - 5e-9], 1e-13);
  assertNear(t, [log1mexp(-50) / Math.exp(-50)], [-1], 1e-15);
  assertNear(t, [log1mexp(-Math.LN2)], [-Math.LN2], 1e-15);
});
