// Values and derivatives of each loss on one pair of responses, computed by hand in double.
import test from 'ava';
import { objectiveEntry } from '../../src/objectives/index.js';
import type { Row } from '../../src/objectives/objective.js';
import { doubles, evaluateAll } from './helpers.js';

const policyChosen = doubles([-0.5, -1.2, -0.3]);
const policyRejected = doubles([-0.9, -2.0, -0.7, -1.1]);
const referenceChosen = doubles([-0.6, -1.0, -0.7]);
const referenceRejected = doubles([-0.8, -1.5, -0.9, -1.0]);

const pair: Row = {
  kind: 'pair',
  sequences: [
    { logProbs: policyChosen, reference: referenceChosen, promptLogProbs: doubles([]) },
    { logProbs: policyRejected, reference: referenceRejected },
  ],
};

// Seven digits are given.
const tolerance = 6e-8;

interface Case {
  readonly objective: string;
  readonly options?: Record<string, unknown>;
  readonly loss: number;
  /** By the log-probability of each token of the chosen, and of the rejected response. */
  readonly dChosen: number;
  readonly dRejected: number;
  /** Subtracted from the value and derivative: a likelihood term that the case leaves out. */
  readonly nll?: boolean;
}

const of = (
  objective: string,
  options: Record<string, unknown>,
  [loss, dChosen, dRejected]: readonly [number, number, number],
  nll = false,
): Case => ({ objective, options, loss, dChosen, dRejected, nll });

const cases: readonly Case[] = [
  of('dpo', {}, [0.653947, -0.048001, 0.048001]),
  of('dpo', { labelSmoothing: 0.1 }, [0.661947, -0.038001, 0.038001]),
  of('robust', { labelSmoothing: 0.1 }, [0.643947, -0.060501, 0.060501]),
  of('hinge', {}, [0.92, -0.1, 0.1]),
  of('ipo', { reduction: 'mean' }, [22.800625, -3.183333, 2.3875]),
  of('ipo', { reduction: 'sum' }, [17.64, -8.4, 8.4]),
  of('ipo', { scale: 'paper' }, [0.1764, -0.084, 0.084]),
  of('exo', { labelSmoothing: 0.1 }, [0.4677039, -0.052846, 0.052846]),
  of('nca', {}, [1.3666193, -0.023875, 0.024375]),
  of('bco-pair', {}, [1.3467193, -0.04925, 0.04875]),
  of('sppo', {}, [42.34, -9.4, 9.0]),
  of('apo-zero', {}, [0.9800032, -0.024994, 0.024984]),
  of('apo-down', {}, [0.9875101, 0.000034, 0.02496]),
  of('discopop', {}, [0.8779008, -0.009628, 0.009628]),
  of('sigmoid-norm', {}, [0.6819605, -0.016479, 0.012359]),
  of('sigmoid-norm', { labelSmoothing: 0.1 }, [0.6842105, -0.0131458, 0.0098594]),
  of('dpo', { fDivergenceType: 'forward_kl' }, [0.648782, -0.035361, 0.078696]),
  of('dpo', { fDivergenceType: 'js_divergence' }, [0.6723813, -0.020831, 0.03047]),
  of('dpo', { fDivergenceType: 'alpha_divergence' }, [0.6517112, -0.0412147, 0.0614851]),
  of(
    'dpo',
    { fDivergenceType: 'alpha_divergence', fAlphaDivergenceCoef: 2 },
    [0.6566713, -0.0649856, 0.0291999],
  ),
  // forward KL is the alpha-divergence at 0.
  of(
    'dpo',
    { fDivergenceType: 'alpha_divergence', fAlphaDivergenceCoef: 0 },
    [0.648782, -0.035361, 0.078696],
  ),
  of('dpo', { referenceFree: true }, [0.5672321, -0.043291, 0.043291]),
  of('r-dpo', { alpha: 0.05 }, [0.6782597, -0.0492501, 0.0492501]),
  of('orpo', { nll: 'response' }, [0.0353081, -0.020379, 0.01076], true),
  of('simpo', { beta: 0.1, simpoGamma: 0.5 }, [0.9427402, -0.020348, 0.015261]),
  of('simpo', { beta: 0.1, simpoGamma: 0.5, cpoAlpha: 1 }, [0.9427402, -0.020348, 0.015261], true),
  of('simpo', {}, [0.6848486, -0.330556, 0.247917]),
  of(
    'simpo',
    { beta: 2, simpoGamma: 0.5, alpha: 0.25, labelSmoothing: 0.1 },
    [0.4551931, -0.1686731, 0.1436477],
  ),
  of('cpo', { cpoAlpha: 0 }, [0.5672321, -0.043291, 0.043291]),
  of('cpo', {}, [0.5672321, -0.043291, 0.043291], true),
  of('cpo', { lossType: 'hinge', cpoAlpha: 0 }, [0.73, -0.1, 0.1]),
  of('cpo', { lossType: 'ipo', cpoAlpha: 0 }, [20.1750694, -2.9944444, 2.2458333]),
  of('cpo', { alpha: -0.5, labelSmoothing: 0.1, cpoAlpha: 0 }, [0.6717176, -0.014214, 0.0036849]),
  of('slic', { delta: 4, lambda: 0 }, [1.3, -1, 1]),
  of('slic', { delta: 4, lambda: 0.1 }, [1.5, -1.1, 1]),
  of('bo2', {}, [2 / 3, -1 / 3, 0]),
  of('bo2', { normalization: 'sequence' }, [2, -1, 0]),
  of('sft', { targets: 'rejected' }, [4.7 / 4, 0, -1 / 4]),
  of('sft', { targets: 'both' }, [6.7 / 7, -1 / 7, -1 / 7]),
  of('sft', { targets: 'both', normalization: 'sequence' }, [6.7 / 2, -1 / 2, -1 / 2]),
];

for (const { objective, options, loss, dChosen, dRejected, nll } of cases) {
  const title = `${objective} ${JSON.stringify(options)}${nll ? ' besides its likelihood' : ''}`;
  test(title, (t) => {
    const evaluation = evaluateAll(objectiveEntry(objective).make(options), [pair]);
    // Mean of -log p of the three chosen tokens, whose sum is -2.
    const likelihood = nll ? { loss: 2 / 3, slope: -1 / 3 } : { loss: 0, slope: 0 };
    const close = (actual: number, expected: number, digits: number): void => {
      t.true(Math.abs(actual - expected) <= digits, `${actual} is not ${expected}`);
    };
    close(evaluation.loss - likelihood.loss, loss, tolerance);
    const [chosen, rejected] = evaluation.gradients[0]!;
    const tokens = (values?: Float32Array): number[] => Array.from(values ?? [0]);
    // Six digits are given, and gradients are float32.
    for (const slope of tokens(chosen!.logProbs)) close(slope - likelihood.slope, dChosen, 1e-6);
    for (const slope of tokens(rejected!.logProbs)) close(slope, dRejected, 1e-6);
  });
}

const single = (label: boolean): Row => {
  const [chosen, rejected] = pair.sequences;
  return {
    kind: 'completion',
    label,
    sequences: [label ? chosen! : rejected!],
    mismatched: { policy: -3, reference: -3.05 },
  };
};

for (const { label, loss, slope } of [
  { label: true, loss: 0.4937503, slope: -0.024996 },
  { label: false, loss: 0.4862535, slope: 0.024981 },
]) {
  test(`kto, ${label ? 'desirable' : 'undesirable'}, KL 0.05`, (t) => {
    for (const weight of [1, 1.5]) {
      const given = { desirableWeight: weight, undesirableWeight: weight };
      const evaluation = evaluateAll(objectiveEntry('kto').make(given), [single(label)]);
      t.true(Math.abs(evaluation.loss - weight * loss) < tolerance * weight);
      for (const value of evaluation.gradients[0]![0]!.logProbs!) {
        t.true(Math.abs(value - weight * slope) < 1e-6 * weight);
      }
    }
  });
}

const pairOfSums = (sums: readonly number[]): Row => {
  const [chosen, rejected, chosenReference, rejectedReference] = sums.map((sum) => doubles([sum]));
  return {
    kind: 'pair',
    sequences: [
      { logProbs: chosen!, reference: chosenReference! },
      { logProbs: rejected!, reference: rejectedReference! },
    ],
  };
};

// Sums under the policy (chosen, rejected) and the reference; by automatic differentiation in double.
const three = [
  [-2.0, -4.7, -2.3, -4.2],
  [-5.5, -3.0, -5.0, -3.5],
  [-1.25, -6.5, -2.0, -6.0],
].map(pairOfSums);

test('aot compares sorted margins of policy and reference', (t) => {
  const aot = objectiveEntry('aot').make({ labelSmoothing: 0.1 });
  const { loss, gradients } = evaluateAll(aot, three);
  t.true(Math.abs(loss - 0.6804808875694434) < 1e-12);
  const expected = [-0.012667021994813938, -0.01416597291596467, -0.012293020887541457];
  expected.forEach((slope, i) => {
    t.true(Math.abs(gradients[i]![0]!.logProbs![0]! - slope) < 1e-8);
    t.true(Math.abs(gradients[i]![1]!.logProbs![0]! + slope) < 1e-8);
  });
});

test('aot-unpaired compares sorted log-ratios of chosen and rejected responses', (t) => {
  const aot = objectiveEntry('aot-unpaired').make({ labelSmoothing: 0.1 });
  const { loss, gradients } = evaluateAll(aot, three);
  t.true(Math.abs(loss - 0.6794398171343534) < 1e-12);
  const expected = [
    [-0.012667021994813938, 0.013333333333333332],
    [-0.013333333333333332, 0.013125010850016319],
    [-0.013125010850016319, 0.012667021994813938],
  ];
  expected.forEach((slopes, i) => {
    slopes.forEach((slope, s) => {
      t.true(Math.abs(gradients[i]![s]!.logProbs![0]! - slope) < 1e-8);
    });
  });
});

const logistic = (x: number): number => Math.log1p(Math.exp(-x));

test('reward: logistic loss of the difference, less the margin, and centring', (t) => {
  const scored = (chosen: number, rejected: number, margin?: number): Row => ({
    kind: 'pair',
    sequences: [chosen, rejected].map((score) => ({ logProbs: new Float32Array(0), score })),
    ...(margin === undefined ? {} : { margin }),
  });
  const rows = [scored(1.5, 0.25), scored(-0.5, 0.75, 0.5)];
  const reward = objectiveEntry('reward');
  const { loss, metrics } = evaluateAll(reward.make(), rows);
  const plain = (logistic(1.25) + logistic(-1.75)) / 2;
  t.true(Math.abs(loss - plain) < 1e-12);
  const centred = evaluateAll(reward.make({ centerRewardsCoefficient: 0.1 }), rows).loss;
  t.true(Math.abs(centred - plain - (0.1 * (1.75 ** 2 + 0.25 ** 2)) / 2) < 1e-12);
  t.deepEqual(metrics, {
    accuracy: { sum: 1, weight: 2 },
    margin: { sum: 0, weight: 2 },
    mean_reward: { sum: 2, weight: 4 },
    min_reward: { sum: -0.5, weight: 1 },
    max_reward: { sum: 1.5, weight: 1 },
  });
});

test('preference: half the log-likelihood of each order; both orders decide', (t) => {
  const row: Row = {
    kind: 'pair',
    sequences: [0.8, 0.3].map((score) => ({ logProbs: new Float32Array(0), score })),
  };
  const both = evaluateAll(objectiveEntry('preference').make(), [row]);
  t.true(Math.abs(both.loss - (logistic(0.8) + logistic(-0.3)) / 2) < 1e-12);
  // Both orders say "the first one", the one with the winner first more so.
  t.deepEqual(both.metrics.accuracy, { sum: 1, weight: 1 });
  t.true(both.metrics.position_bias!.sum > 0.2);
  const one = evaluateAll(objectiveEntry('preference').make({ orders: 'first' }), [row]);
  t.true(Math.abs(one.loss - logistic(0.8)) < 1e-12);
});
