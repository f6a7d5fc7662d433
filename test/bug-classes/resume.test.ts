// What a run adapts as it goes, and the epochs over its samples, survive a stop (30).
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { functionJudge } from '../../src/judges/function-judge.js';
import { objectiveEntry } from '../../src/objectives/index.js';
import { onPolicyGroups } from '../../src/sources/on-policy.js';
import { adamW } from '../../src/training/optimizer.js';
import type { TrainOptions } from '../../src/training/options.js';
import type { TrainState } from '../../src/training/run.js';
import { smallConfig, temporaryFolder } from '../checkpoint/helpers.js';
import { owned, weightBytes } from '../helpers/models.js';
import { MemoryRecorder, runOf, timeless, tiny } from '../training/helpers.js';

const prompts = [3, 4, 5, 6, 7].map((token) => ({
  tokens: Int32Array.of(1, token),
  text: String(token),
}));
const judge = functionJudge({ name: 'first' }, ({ response }) => response.tokens[0]! / 17);

const run = (policy: LanguageModel, critic: LanguageModel): TrainOptions => ({
  policy,
  critic: { model: critic },
  source: onPolicyGroups({
    policy,
    prompts,
    order: 'shuffled',
    judge,
    decode: (response) => response.join(' '),
    sampling: { maxNewTokens: 6, stopTokens: [2] },
    samples: 2,
    seed: 5,
  }),
  // A KL far below the target: the coefficient changes after every batch of samples.
  objective: objectiveEntry('ppo').make({ klCoef: 0.5, klTarget: 6, klHorizon: 20 }),
  optimizer: adamW({ learningRate: 1e-2 }),
  rollouts: { epochs: 2 },
  batchSize: 4,
  steps: 8,
});

const criticFor = async (t: ExecutionContext): Promise<LanguageModel> => {
  const config = {
    ...smallConfig('llama'),
    architectures: ['LlamaForSequenceClassification'],
    num_labels: 1,
    max_position_embeddings: 128,
  };
  return owned(t, await LanguageModel.create(config, { seed: 3 }));
};

test('ppo with a coefficient that follows the KL goes on from any step, bit for bit', async (t) => {
  const folder = await temporaryFolder(t);
  const pathOf = (step: number, name: string) => join(folder, String(step), name);
  const recorder = new MemoryRecorder(async ({ state, policy, models }) => {
    for (const [name, model] of Object.entries({ policy, ...models })) {
      const path = pathOf(state.step, name);
      await model.save(path, { dtype: 'F32' });
      await model.saveOptimizer(join(path, 'optimizer'));
    }
  });
  const policy = await tiny(t);
  const reference = owned(t, await policy.clone({ trainable: false }));
  const options = { ...run(policy, await criticFor(t)), reference };
  const steps = timeless(await runOf({ ...options, recorder, checkpoints: [3, 4] }));
  const weights = await weightBytes(policy);

  const load = async (step: number, name: string): Promise<LanguageModel> => {
    const path = pathOf(step, name);
    const model = owned(t, await LanguageModel.load(path));
    await model.loadOptimizer(join(path, 'optimizer'));
    return model;
  };
  const resumed = async (state: TrainState) => {
    const own = await load(state.step, 'policy');
    const critic = await load(state.step, 'critic');
    const rest = await runOf({ ...run(own, critic), reference, resume: state });
    return { steps: timeless(rest), weights: await weightBytes(own) };
  };
  for (const state of recorder.states.slice(0, 2)) {
    t.not(state.parts.adaptation, 0.5, 'the coefficient has moved');
    const rest = await resumed(state);
    t.deepEqual(rest.steps, steps.slice(state.step), `from step ${state.step}`);
    t.true(weights.equals(rest.weights), `from step ${state.step}`);
  }
  // The control: with the coefficient of the start it is another run.
  const [state] = recorder.states;
  const forgotten = { ...state!, parts: { ...state!.parts, adaptation: 0.5 } };
  t.false(weights.equals((await resumed(forgotten)).weights));
});
