// Three kinds of run that train() makes in a run folder, offline and on the policy's samples. A run
// may die on the way, as a crash would.
import { LanguageModel } from '../../src/engine/model.js';
import { functionJudge } from '../../src/judges/function-judge.js';
import { objectiveEntry } from '../../src/objectives/index.js';
import { datasetPairs } from '../../src/sources/dataset.js';
import { ExperienceLog, recording } from '../../src/sources/experience-log.js';
import { onPolicyPairs } from '../../src/sources/on-policy-pairs.js';
import { onPolicyGroups } from '../../src/sources/on-policy.js';
import type { Source } from '../../src/sources/source.js';
import { permutation } from '../../src/data/random.js';
import type { Example } from '../../src/text/example.js';
import { EarlyStop } from '../../src/training/early-stop.js';
import { adamW } from '../../src/training/optimizer.js';
import type { TrainOptions } from '../../src/training/options.js';
import { RunFolder } from '../../src/training/run-folder.js';
import { train } from '../../src/training/train.js';

export interface TrainRun {
  readonly kind: 'offline-dpo' | 'online-ipo' | 'ppo';
  readonly steps: number;
  readonly checkpoints: number;
  readonly dtype: 'f32' | 'bf16';
  readonly resume?: boolean | string;
  /** Die while this step draws its batch, between its forward and backward, or while it is saved. */
  readonly kill?: { readonly step: number; readonly during: 'take' | 'step' | 'save' };
}

const config = {
  model_type: 'llama',
  hidden_size: 32,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_hidden_layers: 2,
  intermediate_size: 48,
  vocab_size: 17,
  max_position_embeddings: 64,
  tie_word_embeddings: false,
  initializer_range: 0.3,
};
const scalarConfig = {
  ...config,
  architectures: ['LlamaForSequenceClassification'],
  num_labels: 1,
};

const drawn = (count: number, ...keys: (string | number)[]): Int32Array =>
  Int32Array.from(permutation(17, 1, ...keys).subarray(0, count));

/** Seven pairs in batches of three: epochs end within and at the end of a batch. */
const pairs: Example[] = Array.from({ length: 7 }, (_, i) => ({
  kind: 'pair',
  prompt: drawn(3, 'prompt', i),
  responses: [{ tokens: drawn(4 + (i % 3), 'chosen', i) }, { tokens: drawn(5, 'rejected', i) }],
  origin: `pair ${i}`,
}));

const prompts = [3, 4, 5, 6, 7].map((token) => ({
  tokens: Int32Array.of(1, token),
  text: String(token),
}));
const fives = functionJudge(
  { name: 'fives' },
  ({ response: { tokens } }) => tokens.filter((token) => token === 5).length / tokens.length,
);
const sampled = {
  prompts,
  order: 'shuffled',
  judge: fives,
  decode: (response: Int32Array) => response.join(' '),
  sampling: { maxNewTokens: 6, stopTokens: [2] },
  seed: 5,
} as const;

type Kind = Pick<TrainOptions, 'source' | 'objective' | 'rollouts' | 'critic' | 'referenceSync'>;

const kinds: Record<TrainRun['kind'], (policy: LanguageModel, critic: LanguageModel) => Kind> = {
  'offline-dpo': () => ({
    source: datasetPairs({ examples: pairs, order: 'shuffled', seed: 4, epochs: 20 }),
    objective: objectiveEntry('dpo').make(),
    referenceSync: { every: 2, alpha: 0.5 },
  }),
  'online-ipo': (policy) => ({
    source: onPolicyPairs({ ...sampled, policy, samples: 4, syncEvery: 3 }),
    objective: objectiveEntry('ipo').make(),
  }),
  // Two epochs of two mini-batches: three checkpoints of four stand within a rollout.
  ppo: (policy, critic) => ({
    source: onPolicyGroups({ ...sampled, policy, samples: 2 }),
    objective: objectiveEntry('ppo').make(),
    critic: { model: critic },
    rollouts: { epochs: 2, miniBatches: 2 },
  }),
};

const mortal = (source: Source, kill: TrainRun['kill'], die: () => void): Source => {
  let step = 0;
  return {
    describe: () => source.describe(),
    take: async (count, context) => {
      step = context.step + 1;
      const examples = await source.take(count, context);
      if (kill?.step === step && kill.during === 'take') die();
      return examples;
    },
    state: () => source.state(),
    restore: (state) => {
      source.restore(state);
    },
    save: async (folder) => {
      await source.save?.(folder);
      if (kill && step >= kill.step && kill.during === 'save') die();
    },
    load: async (folder) => {
      await source.load?.(folder);
    },
    metrics: () => source.metrics?.() ?? {},
    ...(source.size === undefined ? {} : { size: source.size }),
  };
};

/** `die` must not return. */
export const trainRun = async (
  folder: string,
  { kind, steps, checkpoints, dtype, resume = false, kill }: TrainRun,
  die: () => void,
): Promise<void> => {
  await using policy = await LanguageModel.create(config, { seed: 1, dtype });
  await using critic = await LanguageModel.create(scalarConfig, { seed: 2, dtype });
  const recorder = await RunFolder.open(folder, { config: { kind, steps, dtype }, resume });
  await using log = await ExperienceLog.open(recorder.completionsPath);
  const { source, objective, ...rest } = kinds[kind](policy, critic);
  let made = recorder.fromStep;
  const run = train({
    policy,
    ...rest,
    source: mortal(recording(source, log), kill, die),
    objective: {
      ...objective,
      evaluate: (rows, totals) => {
        if (kill?.step === made + 1 && kill.during === 'step') die();
        return objective.evaluate(rows, totals);
      },
    },
    optimizer: adamW({ learningRate: 1e-2, weightDecay: 0.01 }),
    schedule: { type: 'cosine', warmupSteps: 2 },
    batchSize: 3,
    maxTokensPerPass: 48,
    steps,
    checkpoints,
    evaluate: { every: 2, run: ({ step }) => Promise.resolve({ eval_loss: 1 / step }) },
    earlyStop: new EarlyStop({ metric: 'eval_loss', patience: 2 }),
    recorder,
    resume: resume !== false,
  });
  for await (const step of run) made = step.index;
};
