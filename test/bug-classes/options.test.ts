// Every option of train() acts or raises (39).
import { createHash } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { objectiveEntry } from '../../src/objectives/index.js';
import { datasetSource } from '../../src/sources/dataset.js';
import { EarlyStop } from '../../src/training/early-stop.js';
import { adamW } from '../../src/training/optimizer.js';
import type { TrainOptions } from '../../src/training/options.js';
import { train } from '../../src/training/train.js';
import { AlignlabError } from '../../src/errors.js';
import { assertError, caught, smallConfig } from '../checkpoint/helpers.js';
import { owned, weightBytes } from '../helpers/models.js';
import {
  MemoryRecorder,
  runOf,
  someCompletions,
  somePairs,
  timeless,
  tiny,
} from '../training/helpers.js';

interface Models {
  readonly policy: LanguageModel;
  /** With the same shape and other weights. */
  readonly other: LanguageModel;
  readonly critic: LanguageModel;
}

type Options = Partial<TrainOptions>;

interface Change {
  /** What both runs have, and what one of them has besides. */
  readonly both?: (models: Models) => Options;
  readonly one: (models: Models) => Options;
}

const samples = () =>
  datasetSource({
    examples: somePairs(8).map(({ kind: _, ...pair }) => ({
      ...pair,
      kind: 'group' as const,
      responses: pair.responses.map(({ tokens }, i) => ({
        tokens,
        behaviour: new Float32Array(tokens.length).fill(-2),
        reward: i,
      })),
    })),
  });
const ppo = () => ({ source: samples(), objective: objectiveEntry('ppo').make() });
const every = { every: 1, run: () => Promise.resolve({ eval_loss: 1 }) };

const changes: Readonly<Record<keyof TrainOptions, Change>> = {
  policy: { one: ({ other }) => ({ policy: other }) },
  source: { one: () => ({ source: datasetSource({ examples: somePairs(8, { seed: 9 }) }) }) },
  objective: { one: () => ({ objective: objectiveEntry('ipo').make() }) },
  optimizer: { one: () => ({ optimizer: adamW({ learningRate: 1e-3 }) }) },
  steps: { one: () => ({ steps: 3 }) },
  reference: {
    both: () => ({ startsFromReference: false }),
    one: ({ other }) => ({ reference: other }),
  },
  startsFromReference: {
    both: ({ other }) => ({ reference: other }),
    one: () => ({ startsFromReference: false }),
  },
  startsOnPolicy: {
    both: ({ critic }) => ({ ...ppo(), critic: { model: critic } }),
    one: () => ({ startsOnPolicy: true }),
  },
  referenceSync: { one: () => ({ referenceSync: { every: 1, alpha: 0.5 } }) },
  critic: { both: ppo, one: ({ critic }) => ({ critic: { model: critic } }) },
  schedule: { one: () => ({ schedule: { type: 'constant' } }) },
  batchSize: { one: () => ({ batchSize: 3 }) },
  normalization: {
    both: () => ({
      source: datasetSource({ examples: someCompletions(8) }),
      objective: objectiveEntry('sft').make(),
    }),
    one: () => ({ normalization: { microBatch: 2 } }),
  },
  maxTokensPerPass: { one: () => ({ maxTokensPerPass: 20 }) },
  maxLength: {
    both: () => ({
      source: datasetSource({ examples: someCompletions(8) }),
      objective: objectiveEntry('kto').make(),
    }),
    one: () => ({ maxLength: 3 }),
  },
  rollouts: { one: () => ({ rollouts: { epochs: 2 } }) },
  recompute: { one: () => ({ recompute: true }) },
  logEntropy: { one: () => ({ logEntropy: true }) },
  evaluate: { one: () => ({ evaluate: every }) },
  checkpoints: { one: () => ({ checkpoints: 1 }) },
  earlyStop: {
    both: () => ({ evaluate: every }),
    one: () => ({ earlyStop: new EarlyStop({ metric: 'eval_loss', patience: 1 }) }),
  },
  recorder: { one: () => ({ recorder: new MemoryRecorder() }) },
  resume: {
    one: () => ({
      resume: { step: 2, tokens: 5, source: { epoch: 0, index: 4, size: 8 }, parts: {} },
    }),
  },
  manifest: { one: () => ({ manifest: { data: 'of the caller' } }) },
  seed: { both: () => ({ rollouts: { miniBatches: 2 } }), one: () => ({ seed: 5 }) },
  signal: { one: () => ({ signal: AbortSignal.abort() }) },
};

const outcome = async (t: ExecutionContext, { both, one }: Change, isChanged: boolean) => {
  const config = {
    ...smallConfig('llama'),
    architectures: ['LlamaForSequenceClassification'],
    num_labels: 1,
    max_position_embeddings: 128,
  };
  const policy = await tiny(t);
  const critic = owned(t, await LanguageModel.create(config, { seed: 3 }));
  const models = { policy, other: await tiny(t, 2), critic };
  const recorder = new MemoryRecorder();
  const passes: unknown[] = [];
  const options: TrainOptions = {
    policy,
    source: datasetSource({ examples: somePairs(8) }),
    objective: objectiveEntry('dpo').make(),
    optimizer: adamW({ learningRate: 1e-2 }),
    batchSize: 4,
    steps: 4,
    recorder,
    ...both?.(models),
    ...(isChanged ? one(models) : {}),
  };
  const trained = options.policy;
  const forward = trained.forward.bind(trained);
  trained.forward = (batch, settings) => {
    passes.push([batch.length, settings?.recompute ?? false]);
    return forward(batch, settings);
  };
  let steps: unknown[] = [];
  let error: string | null = null;
  try {
    steps = timeless(await runOf(options));
  } catch (cause) {
    if (!(cause instanceof AlignlabError)) throw cause;
    error = cause.code;
  }
  const { evaluations, states, manifest, completed } = recorder;
  const weights = createHash('sha256')
    .update(await weightBytes(trained))
    .digest('hex');
  return { error, steps, evaluations, states, manifest, completed, passes, weights };
};

for (const [name, change] of Object.entries(changes)) {
  test(`${name} changes what comes out, or raises`, async (t) => {
    const [plain, changed] = [await outcome(t, change, false), await outcome(t, change, true)];
    if (['maxTokensPerPass', 'recompute'].includes(name)) {
      // Memory, not results: seen in the passes.
      t.notDeepEqual(changed.passes, plain.passes);
    }
    // The manifest repeats what was asked for, which is no effect.
    const effect = ({ manifest: _, ...rest }: typeof plain) => rest;
    if (name === 'manifest') t.notDeepEqual(changed.manifest, plain.manifest);
    else t.notDeepEqual(effect(changed), effect(plain));
    t.deepEqual(effect(await outcome(t, change, false)), effect(plain), 'the control');
  });
}

test('a misspelt option of train() is refused with the nearest name', async (t) => {
  const base: TrainOptions = {
    policy: await tiny(t),
    source: datasetSource({ examples: somePairs(4) }),
    objective: objectiveEntry('dpo').make(),
    optimizer: adamW({ learningRate: 1e-3 }),
    steps: 1,
  };
  for (const [given, ...parts] of [
    [{ batchsize: 4 }, '"batchsize"', '"batchSize"'],
    [{ gradientAccumulation: 4 }, '"gradientAccumulation"', 'maxTokensPerPass'],
    [{ rollouts: { epoch: 2 } }, 'rollouts', '"epochs"'],
    [{ referenceSync: { steps: 2, alpha: 1 } }, 'referenceSync', '"steps"'],
    [{ evaluate: { ...every, atstart: true } }, 'evaluate', '"atStart"'],
    [{ schedule: { type: 'linear', warmup: 3 } }, '"warmup"', 'warmupSteps'],
  ] as const) {
    const error = await caught(() => train({ ...base, ...(given as object) }).next());
    assertError(t, error, 'OPTION_INVALID', ...parts);
  }
  const typo = { metric: 'eval_loss', patience: 1, delta: 0.1 };
  assertError(t, await caught(() => new EarlyStop(typo)), 'OPTION_INVALID', '"delta"', 'minDelta');
});
