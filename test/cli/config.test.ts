// The resolved configuration: flags over YAML over defaults, TRL's configurations, and that every key
// acts or raises.
import { readFileSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parse, stringify } from 'yaml';
import { type TrainingCommand, trainingCommands } from '../../src/cli/config/commands.js';
import { foreignNames } from '../../src/cli/config/foreign.js';
import { type SettingName, settingNames, settingsSchema } from '../../src/cli/config/keys.js';
import { type Layer, readYamlLayer } from '../../src/cli/config/layers.js';
import { optionKey } from '../../src/cli/config/objective.js';
import {
  type ResolvedConfig,
  defaultsOf,
  infoOf,
  resolveConfig,
} from '../../src/cli/config/resolve.js';
import { batchOf, plansOf, stepOptions } from '../../src/cli/training/plan.js';
import { recordedConfig } from '../../src/cli/training/run.js';
import { objectives } from '../../src/objectives/index.js';

const commandOf = (name: string): TrainingCommand =>
  trainingCommands.find((command) => command.name === name)!;

const flags = (values: Layer['values']): Layer => ({ from: 'flags', values });
const yaml = (values: Layer['values']): Layer => ({ from: 'run.yaml', values });

const resolve = (command: string, ...layers: readonly Layer[]): ResolvedConfig =>
  resolveConfig(commandOf(command), layers);

const refusal = (command: string, ...layers: readonly Layer[]): string => {
  try {
    resolve(command, ...layers);
    return 'accepted';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

test('there is a command for every objective, and an online one for DPO and IPO', (t) => {
  const names = trainingCommands.map(({ name }) => name);
  for (const { name } of objectives) t.true(names.includes(name), name);
  t.true(names.includes('online-dpo') && names.includes('online-ipo'));
  t.is(new Set(names).size, names.length);
});

test('flags win over YAML, YAML over the defaults of the command', (t) => {
  const given = yaml({ learning_rate: 2e-6, beta: 0.3, max_length: 64 });
  const { settings, options } = resolve('dpo', given, flags({ learning_rate: '3e-6', seed: '7' }));
  t.is(settings.learning_rate, 3e-6);
  t.is(settings.seed, 7);
  t.is(settings.max_length, 64);
  t.is(options.beta, 0.3);
  t.is(settings.adam_beta2, 0.999);
  t.is(resolve('sft').settings.learning_rate, 2e-5);
  t.is(resolve('reward').settings.learning_rate, 1e-4);
  t.is(resolve('kto').settings.train_sampling_strategy, 'sequential');
  t.is(resolve('grpo').settings.num_generations, 8);
});

test('other names of a key are the key; two values for one are refused', (t) => {
  const { settings } = resolve('dpo', flags({ model: 'a', dataset: 'b', output: 'c' }));
  t.deepEqual(
    [settings.model_name_or_path, settings.dataset_name, settings.output_dir],
    ['a', 'b', 'c'],
  );
  t.regex(refusal('dpo', flags({ model: 'a', model_name_or_path: 'b' })), /given twice/);
});

test('an unknown key is an error that names the place and the nearest known key', (t) => {
  t.regex(refusal('dpo', flags({ learing_rate: '1' })), /--learing-rate\. Did you mean "learning_rate"/);
  t.regex(refusal('dpo', yaml({ betta: 1 })), /betta in run\.yaml\. Did you mean "beta"/);
  t.regex(refusal('sft', yaml({ beta: 0.1 })), /sft does not know|no beta/);
  t.regex(refusal('dpo', flags({ zzzzqqq: '1' })), /--help/);
});

test('numbers may be text in YAML, and None is null', (t) => {
  const { settings } = resolve('dpo', yaml({ learning_rate: '1e-6', max_length: 'None' }));
  t.is(settings.learning_rate, 1e-6);
  t.is(settings.max_length, null);
});

test('null lifts a limit; where there can be none it means the default', (t) => {
  t.is(resolve('dpo', flags({ max_length: 'null' })).settings.max_length, null);
  t.is(resolve('dpo', yaml({ max_length: null, learning_rate: null })).settings.learning_rate, 1e-6);
});

// Values that no key of that type takes.
const wrong: Readonly<Record<string, readonly string[]>> = {
  number: ['many', '-7'],
  boolean: ['perhaps'],
  any: ['{a: [}'],
};

const anyText: readonly SettingName[] = settingNames.filter(
  (name) => infoOf(name).kind === 'text' && settingsSchema.shape[name].safeParse('q?').success,
);
/** A boolean, or the name of a checkpoint; a tracker's name is checked where trackers are. */
const freeForm: readonly string[] = ['resume_from_checkpoint', 'report_to'];
/** -1, or any seed. */
const takesNegative: readonly string[] = ['max_steps', 'data_seed'];

for (const name of settingNames) {
  if (anyText.includes(name) || freeForm.includes(name)) continue;
  test(`${name} refuses what is out of type or range, by name`, (t) => {
    const { kind } = infoOf(name);
    const values = kind === 'text' ? ['q?'] : wrong[kind]!;
    for (const value of values) {
      if (value === '-7' && takesNegative.includes(name)) continue;
      const message = refusal('online-dpo', flags({ [name]: value }));
      t.true(message.includes(`--${name.replaceAll('_', '-')}`), message);
    }
  });
}

// One other value for each key; with it the resolved configuration must differ, or the key raises.
const others: Partial<Record<SettingName, unknown>> = {
  dtype: 'bf16',
  device: 'cpu',
  datasets: [{ path: 'a.jsonl' }],
  format: 'preference',
  columns: { prompt: 'q' },
  on_bad_row: 'skip',
  train_sampling_strategy: 'sequential',
  truncation_mode: 'keep_end',
  bos: 'never',
  eos: 'never',
  boundary: 'suffix',
  empty_completion: 'error',
  template_fallback: 'last-turn',
  chat_template_kwargs: { enable_thinking: false },
  lr_scheduler_type: 'cosine',
  lr_scheduler_kwargs: { num_cycles: 2 },
  normalization: 'micro',
  tie_policy: 'first',
  sync_every: 'never',
  judge_options: { target: 3 },
  replay_order: 'shuffled',
  resume_from_checkpoint: 'auto',
  report_to: 'none',
  eval_strategy: 'steps',
  save_strategy: 'no',
  save_steps: 'log',
};

const otherValue = (name: SettingName, current: unknown): unknown => {
  if (name in others) return others[name];
  if (infoOf(name).kind === 'boolean') return current !== true;
  if (infoOf(name).kind === 'text') return 'elsewhere';
  return typeof current === 'number' && current === 1 ? 0.5 : 1;
};

for (const name of settingNames) {
  for (const command of ['dpo', 'online-dpo', 'ppo', 'hypo', 'nash-md']) {
    test(`${name} acts in ${command}, or raises`, (t) => {
      const before = defaultsOf(commandOf(command))[name];
      const { success } = settingsSchema.shape[name].safeParse(otherValue(name, before));
      const value = success ? otherValue(name, before) : 2;
      const message = refusal(command, yaml({ [name]: value }));
      if (message === 'accepted') {
        t.deepEqual(resolve(command, yaml({ [name]: value })).settings[name], value as never);
      } else t.true(message.includes(name), message);
    });
  }
}

test('what has nothing to act on raises', (t) => {
  t.regex(refusal('dpo', flags({ judge: 'rule:length' })), /no effect here: dpo draws no samples/);
  t.regex(refusal('sft', flags({ sync_ref_model: 'true' })), /sft uses no reference/);
  t.regex(refusal('dpo', flags({ value_model: 'x' })), /no critic/);
  t.regex(refusal('grpo', flags({ tie_policy: 'first' })), /no pairs/);
});

for (const { name, entry } of trainingCommands) {
  test(`${name}: every option of the objective has a key that reaches it`, (t) => {
    const keys = Object.entries(entry.options).map(([option, spec]) => optionKey(option, spec));
    t.is(new Set(keys).size, keys.length);
    const { options } = resolve(name);
    for (const key of keys) t.true(key in options, key);
    for (const [option, spec] of Object.entries(entry.options)) {
      const bad = spec.type === 'number' ? 'x' : spec.type === 'boolean' ? 'x' : 7;
      const message = refusal(name, yaml({ [optionKey(option, spec)]: bad }));
      t.true(message.includes(optionKey(option, spec)), message);
    }
  });
}

test("TRL's loss types choose objectives", (t) => {
  const name = (loss: unknown): string =>
    resolve('dpo', yaml({ loss_type: loss })).objective.name;
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
    t.regex(refusal('dpo', yaml({ [key]: value })), new RegExp(`${key} in run\\.yaml is .*cannot do: .*\\.`));
    t.regex(refusal('dpo', flags({ [key]: String(value) })), /alignlab cannot do/);
  });
}

test('a recorded configuration resolves to itself', (t) => {
  for (const { name } of trainingCommands) {
    const first = recordedConfig(resolve(name, flags({ model: 'm', seed: '3' })));
    const text = stringify(first);
    t.deepEqual(recordedConfig(resolve(name, yaml(parse(text) as Layer['values']))), first, name);
  }
});

test('steps come from epochs or max_steps, plans from strategies', (t) => {
  const plans = (values: Layer['values'], size?: number) =>
    plansOf(size, resolve('dpo', yaml({ per_device_train_batch_size: 4, ...values })));
  t.is(plans({}, 10).steps, 9);
  t.is(plans({ dataloader_drop_last: true }, 10).steps, 6);
  t.is(plans({ num_train_epochs: 0.5 }, 16).steps, 2);
  t.is(plans({ max_steps: 5 }).steps, 5);
  t.throws(() => plans({}), { message: /max-steps/ });
  t.deepEqual(plans({ max_steps: 10, save_steps: 4 }).checkpoints, [4, 8]);
  t.deepEqual(plans({ save_strategy: 'epoch' }, 10).checkpoints, [3, 6, 9]);
  t.deepEqual(plans({ save_strategy: 'no' }, 10).checkpoints, []);
  t.deepEqual(plans({ max_steps: 10, eval_strategy: 'steps', eval_steps: 0.5 }).evaluations, [5, 10]);
  t.is(plans({ max_steps: 200, logging_steps: 0.1 }).logging, 20);
});

test('normalization micro is the mean over micro-batches', (t) => {
  const given = { per_device_train_batch_size: 4, gradient_accumulation_steps: 2 };
  t.is(stepOptions(resolve('dpo', yaml(given))).normalization, 'step');
  t.deepEqual(stepOptions(resolve('dpo', yaml({ ...given, normalization: 'micro' }))).normalization, {
    microBatch: 4,
  });
});

test('groups that do not fit a batch of samples are refused', (t) => {
  const config = resolve('grpo', yaml({ per_device_train_batch_size: 6 }));
  t.throws(() => batchOf(config), { message: /multiple of num_generations/ });
});
