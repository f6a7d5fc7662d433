// TRL's configurations: what they mean here, and what is refused because it would mean nothing.
import { readFileSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { foreignNames } from '../../src/cli/config/foreign.js';
import { settingNames } from '../../src/cli/config/keys.js';
import { type Layer, readYamlLayer } from '../../src/cli/config/layers.js';
import type { ResolvedConfig } from '../../src/cli/config/resolve.js';
import { batchOf, stepOptions } from '../../src/cli/training/plan.js';
import { flags, refusal, resolve, yaml } from './configs.js';

test("TRL's loss types choose objectives", (t) => {
  const name = (loss: unknown): string => resolve('dpo', yaml({ loss_type: loss })).objective.name;
  t.is(name('sigmoid'), 'dpo');
  t.is(name(['ipo']), 'ipo');
  t.is(resolve('dpo', yaml({ loss_type: 'ipo' })).objective.options.reduction, 'mean');
  t.is(resolve('online-dpo', yaml({ loss_type: 'ipo' })).objective.options.reduction, 'sum');
  t.is(name('apo_zero'), 'apo-zero');
  t.is(resolve('dpo', flags({ loss_type: 'hinge' })).objective.name, 'hinge');
  t.is(resolve('cpo', yaml({ loss_type: 'simpo' })).objective.name, 'simpo');
  t.is(resolve('dpo', yaml({ loss_type: 'robust' })).objective.options.labelSmoothing, 0);
  t.regex(refusal('dpo', yaml({ loss_type: 'sigmoyd' })), /loss_type in run\.yaml.*sigmoid/s);
  t.regex(refusal('ipo', yaml({ loss_type: 'sigmoid' })), /is one loss/);
});

test('several losses are added with their weights', (t) => {
  const given = { loss_type: ['sigmoid', 'sft'], loss_weights: [0.8, 0.2] };
  const { objective, options } = resolve('dpo', yaml(given));
  t.is(objective.name, 'dpo+bo2');
  t.deepEqual(options.loss_weights, [0.8, 0.2]);
  t.regex(refusal('dpo', yaml({ ...given, loss_weights: [1] })), /2 numbers/);
});

test('an option of another loss is refused, unless it changes nothing', (t) => {
  const ipo = { loss_type: 'ipo' };
  t.is(refusal('dpo', yaml({ ...ipo, label_smoothing: 0, discopop_tau: 0.05 })), 'accepted');
  t.regex(refusal('dpo', yaml({ ...ipo, label_smoothing: 0.1 })), /label_smoothing.*has no/s);
  t.regex(refusal('dpo', yaml({ ...ipo, f_divergence_type: 'forward_kl' })), /f_divergence_type/);
});

interface TrlDefaults {
  readonly common: Layer['values'];
  readonly [trainer: string]: Layer['values'] | string;
}

const trlDefaults = JSON.parse(
  readFileSync('test/cli/fixtures/trl-defaults.json', 'utf8'),
) as TrlDefaults;
const trlTrainers = ['sft', 'dpo', 'kto', 'reward', 'grpo', 'rloo'] as const;

for (const trainer of trlTrainers) {
  test(`every setting of TRL's ${trainer} trainer at its default is understood`, (t) => {
    const all = { ...trlDefaults.common, ...(trlDefaults[trainer] as Layer['values']) };
    const { settings, notes } = resolve(trainer, yaml(all));
    t.is(settings.learning_rate, all.learning_rate as number);
    t.is(settings.seed, 42);
    t.is(settings.max_grad_norm, 1);
    t.true(notes.some(({ key }) => key === 'dataloader_num_workers'));
    // Nothing is passed over in silence: each key is a setting, an option, or known to be foreign.
    for (const key of Object.keys(all)) {
      const known =
        foreignNames.includes(key) ||
        (settingNames as string[]).includes(key) ||
        refusal(trainer, yaml({ [key]: all[key] })) === 'accepted';
      t.true(known, key);
    }
  });
}

const trlFiles: Readonly<Record<string, string>> = {
  sft: `
model_name_or_path: Qwen/Qwen2.5-0.5B
dataset_name: trl-lib/Capybara
learning_rate: 2.0e-5
packing: false
max_length: 1024
per_device_train_batch_size: 2
gradient_accumulation_steps: 8
gradient_checkpointing: true
eos_token: null
eval_strategy: steps
eval_steps: 100
output_dir: Qwen2.5-0.5B-SFT
push_to_hub: false
`,
  dpo: `
model_name_or_path: Qwen/Qwen2.5-0.5B
datasets: [{path: trl-lib/ultrafeedback_binarized, split: train, fraction: 0.5}, {path: json, data_files: mine.jsonl}]
test_split_size: 0.05
learning_rate: 1.0e-6
per_device_train_batch_size: 4
gradient_accumulation_steps: 8
beta: 0.1
loss_type: [sigmoid]
max_length: 1024
bf16: true
report_to: wandb
dataloader_num_workers: 4
`,
  kto: `
model_name_or_path: m
dataset_name: d.jsonl
beta: 0.2
desirable_weight: 1.0
undesirable_weight: 1.5
max_steps: 100
lr_scheduler_type: cosine
warmup_ratio: 0.1
`,
  reward: `
model_name_or_path: m
dataset_name: d.jsonl
center_rewards_coefficient: 0.01
num_train_epochs: 1
`,
  grpo: `
model_name_or_path: m
dataset_name: d.jsonl
reward_model_name_or_path: judge
num_generations: 4
per_device_train_batch_size: 8
gradient_accumulation_steps: 2
max_completion_length: 128
loss_type: dr_grpo
scale_rewards: none
epsilon_high: 0.28
num_iterations: 2
steps_per_generation: 4
use_vllm: true
vllm_mode: colocate
`,
  rloo: `
model_name_or_path: m
dataset_name: d.jsonl
reward_model_name_or_path: judge
num_generations: 4
per_device_train_batch_size: 8
beta: 0.05
reward_clip_range: [-10, 10]
`,
};

const fileLayer = async (text: string): Promise<Layer> => {
  const path = join(await mkdtemp(join(tmpdir(), 'alignlab-yaml-')), 'trl.yaml');
  await writeFile(path, text);
  return readYamlLayer(path);
};

test('TRL files of six trainers mean here what they mean there', async (t) => {
  const of = async (trainer: string): Promise<ResolvedConfig> =>
    resolve(trainer, await fileLayer(trlFiles[trainer]!));
  const sft = await of('sft');
  t.deepEqual(batchOf(sft), { step: 16, micro: 2 });
  t.true(sft.settings.gradient_checkpointing);
  const dpo = await of('dpo');
  t.is(dpo.settings.dtype, 'bf16');
  t.is(dpo.settings.datasets?.length, 2);
  t.deepEqual(
    dpo.notes.map(({ key }) => key),
    ['dataloader_num_workers', 'report_to'],
  );
  const kto = await of('kto');
  t.is(kto.objective.options.undesirableWeight, 1.5);
  t.deepEqual(stepOptions(kto).schedule, { type: 'cosine', warmupRatio: 0.1 });
  t.is((await of('reward')).objective.options.centerRewardsCoefficient, 0.01);
  const grpo = await of('grpo');
  t.is(grpo.settings.judge, 'reward-model:judge');
  t.is(grpo.objective.options.maxCompletionLength, 128);
  // 16 samples are 4 prompts of 4; two passes over what two steps take.
  t.deepEqual(batchOf(grpo), { step: 4, micro: 2 });
  t.deepEqual(stepOptions(grpo).rollouts, { epochs: 2, miniBatches: 2 });
  const rloo = await of('rloo');
  t.is(rloo.objective.options.rewardMin, -10);
  t.is(rloo.objective.options.rewardMax, 10);
});

for (const [key, value] of [
  ['use_peft', true],
  ['load_in_4bit', true],
  ['fp16', true],
  ['packing', true],
  ['optim', 'adafactor'],
  ['push_to_hub', true],
  ['deepspeed', 'zero3.json'],
  ['use_weighting', true],
] as const) {
  test(`${key}: ${String(value)} would change the result, and is refused with the way out`, (t) => {
    t.regex(
      refusal('dpo', yaml({ [key]: value })),
      new RegExp(`${key} in run\\.yaml is .*cannot do: .*\\.`),
    );
    t.regex(refusal('dpo', flags({ [key]: String(value) })), /alignlab cannot do/);
  });
}
