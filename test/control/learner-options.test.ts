// Every option of a learner acts, and presets are learners of every algorithm.
import test from 'ava';
import { createLearner, type LearnerOptions } from '../../src/control/learner.js';
import { algorithms } from '../../src/control/learner-options.js';
import { learnerPresets, presetNames, presetOptions } from '../../src/control/presets.js';
import { actDim, differ, obsDim, parametersAfter, real } from './learner-fixtures.js';

// Each change of one option, on the algorithm that has it. That none of them is passed over.
const changes: [LearnerOptions['algorithm'], Partial<LearnerOptions>][] = [
  ['sac', { seeds: [1] }],
  ['sac', { batch: 16 }],
  ['sac', { learningRate: 2e-3 }],
  ['sac', { policyLearningRate: 2e-3 }],
  ['sac', { gamma: 0.5 }],
  ['sac', { observationScale: [1, 2, 1] }],
  ['sac', { reward: { shift: 1 } }],
  ['sac', { reward: { scale: 2 } }],
  ['sac', { tau: 0.5 }],
  ['sac', { backupEntropy: false }],
  ['sac', { targetEntropy: 3 }],
  ['sac', { alpha: 0.2 }],
  ['sac', { capacity: 100 }],
  ['mix', { realRatio: 0.25 }],
  ['darc', { darcClip: 0.01 }],
  ['darc+', { realRatio: 0.25 }],
  ['cql', { cql: { weight: 1 } }],
  ['cql', { cql: { actions: 3 } }],
  ['cql', { cql: { temperature: 0.5 } }],
  ['h2o', { realRatio: 0.25 }],
  ['h2o', { backupEntropy: true }],
  ['h2o', { discriminator: { batch: 8 } }],
  ['h2o', { discriminator: { learningRate: 1e-2 } }],
  ['h2o', { discriminator: { noise: 0 } }],
  ['h2o', { discriminator: { logitScale: 1 } }],
  ['h2o', { discriminator: { normalize: true } }],
  ['h2o', { discriminator: { hidden: [7] } }],
  ['h2o', { h2o: { importanceWeights: false } }],
  ['h2o', { h2o: { adaptiveGap: false } }],
  ['h2o', { h2o: { penalty: false } }],
  ['h2o', { h2o: { linear: true } }],
  ['h2o', { h2o: { beta: 1 } }],
  ['h2o', { h2o: { nextSamples: 2 } }],
  ['h2o', { h2o: { nextStd: 'data' } }],
  ['h2o', { h2o: { nextStd: 'one-step' } }],
  ['h2o', { h2o: { ratioRange: [0.5, 1] } }],
  ['h2o', { h2o: { gapLimit: 1e-3 } }],
  ['h2o', { h2o: { differenceLimit: 1e-9 } }],
];
for (const [algorithm, change] of changes) {
  test(`${algorithm}: ${JSON.stringify(change)} changes what is learned`, async (t) => {
    const [plain, changed] = await Promise.all([
      parametersAfter({ algorithm }),
      parametersAfter({ algorithm, ...change }),
    ]);
    t.true(differ(plain, changed));
  });
}

test('presets are learners of every algorithm', async (t) => {
  for (const name of presetNames) {
    for (const algorithm of algorithms) {
      const options = presetOptions(name, algorithm);
      t.is(options.batch, learnerPresets[name].options.batch);
      const learner = createLearner(
        { ...options, obsDim, actDim, hidden: [8], batch: 8 },
        algorithm === 'sac' ? undefined : real,
      );
      learner.dispose();
    }
  }
  t.deepEqual(presetOptions('ci', 'sac'), {
    algorithm: 'sac',
    hidden: [64, 64],
    batch: 128,
    learningRate: 1e-3,
  });
  t.true(
    differ(
      await parametersAfter({ ...presetOptions('paper', 'h2o'), hidden: [16, 16], batch: 32 }),
      await parametersAfter({ ...presetOptions('corrected', 'h2o'), hidden: [16, 16], batch: 32 }),
    ),
  );
});
