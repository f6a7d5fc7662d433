// TRL's settings in our terms.
import test from 'ava';
import { objectiveEntry } from '../../src/objectives/index.js';
import type { Row, Totals } from '../../src/objectives/objective.js';
import {
  encodingFromTrl,
  objectiveFromTrl,
  trainOptionsFromTrl,
} from '../../src/training/trl-settings.js';
import { weightedSum } from '../../src/training/weighted-sum.js';

const rows: Row[] = [
  {
    kind: 'pair',
    sequences: [
      {
        logProbs: Float32Array.of(-0.5, -1.25, -0.25),
        reference: Float32Array.of(-0.625, -1, -0.75),
      },
      { logProbs: Float32Array.of(-1, -2), reference: Float32Array.of(-0.75, -1.5) },
    ],
  },
];

const totals: Totals = {
  pairs: 1,
  completions: 0,
  groups: 0,
  samples: 0,
  chosenTokens: 3,
  rejectedTokens: 2,
  completionTokens: 0,
  sampleTokens: 0,
  promptTokens: 0,
};

const evaluated = (settings: object, faithful = false) =>
  objectiveFromTrl('dpo', { ...settings }, { faithful }).evaluate(rows, totals);

test('a list of losses is their weighted sum, loss and gradient', (t) => {
  const sum = evaluated({ loss_type: ['sigmoid', 'bco_pair'], loss_weights: [0.75, 0.5] });
  const [one, two] = [evaluated({}), evaluated({ loss_type: 'bco_pair' })];
  t.true(Math.abs(sum.loss - (0.75 * one.loss + 0.5 * two.loss)) < 1e-12);
  sum.gradients[0]!.forEach(({ logProbs }, s) => {
    logProbs!.forEach((x, i) => {
      const parts = [one, two].map(({ gradients }) => gradients[0]![s]!.logProbs![i]!);
      t.true(Math.abs(x - (0.75 * parts[0]! + 0.5 * parts[1]!)) < 1e-7); // f32
    });
  });
  t.deepEqual(sum.metrics['rewards/chosen'], one.metrics['rewards/chosen']);
  const start = objectiveFromTrl('dpo', { loss_type: ['sigmoid', 'hinge'] }).lossAtStart?.();
  t.true(Math.abs(start! - (Math.LN2 + 1)) < 1e-12);
  const dpo = objectiveEntry('dpo').make();
  t.throws(() => weightedSum([dpo], [NaN]), { code: 'OPTION_INVALID' });
  t.throws(() => weightedSum([dpo, objectiveEntry('grpo').make()], [1, 1]), { message: /samples/ });
});

test("TRL's DPO passes over label smoothing; here it acts, unless TRL is to be matched", (t) => {
  const smoothed = { loss_type: 'sigmoid', label_smoothing: 0.1 };
  t.is(evaluated(smoothed, true).loss, evaluated({}).loss);
  t.not(evaluated(smoothed).loss, evaluated({}).loss);
  t.throws(() => evaluated({ loss_type: 'hinge', label_smoothing: 0.1 }), {
    message: /label_smoothing/,
  });
  // The default of TRL's robust loss is no smoothing at all.
  t.is(evaluated({ loss_type: 'robust' }).loss, evaluated({}).loss);
});

test('what would change the loss and cannot here is refused by name', (t) => {
  for (const [trainer, settings, name] of [
    ['dpo', { use_weighting: true }, 'use_weighting'],
    ['dpo', { loss_type: 'sigmoidal' }, 'sigmoidal'],
    ['sft', { loss_type: 'dft' }, 'dft'],
    ['cpo', { loss_type: 'exo_pair' }, 'exo_pair'],
  ] as const) {
    const error = t.throws(() => objectiveFromTrl(trainer, settings), { code: 'OPTION_INVALID' });
    t.true(error.message.includes(name), error.message);
  }
  t.throws(() => trainOptionsFromTrl('dpo', { lr_scheduler_type: 'polynomial' }), {
    message: /polynomial/,
  });
  t.throws(() => trainOptionsFromTrl('dpo', { weight_decay: 'much' }), { message: /weight_decay/ });
  t.throws(() => encodingFromTrl('dpo', { truncation_mode: 'middle' }), { message: /middle/ });
});

test('steps: batches, means of micro-batches but for sft, schedule and reference', (t) => {
  const settings = {
    per_device_train_batch_size: 4,
    gradient_accumulation_steps: 2,
    learning_rate: '1e-6',
    lr_scheduler_type: 'cosine_with_min_lr',
    lr_scheduler_kwargs: { min_lr_rate: 0.1 },
    warmup_ratio: 0.1,
    sync_ref_model: true,
  };
  t.like(trainOptionsFromTrl('dpo', settings), {
    optimizer: { learningRate: 1e-6, weightDecay: 0, maxGradNorm: 1 },
    schedule: { type: 'cosine_with_min_lr', warmupRatio: 0.1, minLearningRateRatio: 0.1 },
    batchSize: 8,
    normalization: { microBatch: 4 },
    referenceSync: { every: 512, alpha: 0.6 },
  });
  t.is(trainOptionsFromTrl('sft', settings).normalization, 'step');
  t.deepEqual(encodingFromTrl('orpo', {}), {
    maxLength: 1024,
    truncation: 'keep_start',
    bos: 'always',
  });
  t.is(encodingFromTrl('reward', {}).truncation, 'drop');
});
