// The resolved configuration: flags over YAML over defaults, and that every key acts or raises.
import test from 'ava';
import { parse, stringify } from 'yaml';
import { trainingCommands } from '../../src/cli/config/commands.js';
import { type SettingName, settingNames, settingsSchema } from '../../src/cli/config/keys.js';
import type { Layer } from '../../src/cli/config/layers.js';
import { optionKey } from '../../src/cli/config/objective.js';
import { defaultsOf, infoOf } from '../../src/cli/config/resolve.js';
import { commandOf, flags, refusal, resolve, yaml } from './configs.js';
import { batchOf, plansOf, stepOptions } from '../../src/cli/training/plan.js';
import { recordedConfig } from '../../src/cli/training/run.js';
import { objectives } from '../../src/objectives/index.js';

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
  t.regex(
    refusal('dpo', flags({ learing_rate: '1' })),
    /--learing-rate\. Did you mean "learning_rate"/,
  );
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
  t.is(
    resolve('dpo', yaml({ max_length: null, learning_rate: null })).settings.learning_rate,
    1e-6,
  );
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
  t.regex(refusal('grpo', flags({ replay_order: 'shuffled' })), /there is no replay/);
  t.regex(refusal('grpo', flags({ replay: 'run', dataset: 'a.jsonl' })), /brings its own/);
  t.regex(refusal('dpo', flags({ eval_dataset: 'a.jsonl' })), /without eval_strategy/);
  const { notes } = resolve('dpo', yaml({ eval_steps: 50, ref_model_sync_steps: 9 }));
  t.deepEqual(notes.map(({ key }) => key).sort(), ['eval_steps', 'ref_model_sync_steps']);
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
  t.deepEqual(
    plans({ max_steps: 10, eval_strategy: 'steps', eval_steps: 0.5 }).evaluations,
    [5, 10],
  );
  t.is(plans({ max_steps: 200, logging_steps: 0.1 }).logging, 20);
});

test('normalization micro is the mean over micro-batches', (t) => {
  const given = { per_device_train_batch_size: 4, gradient_accumulation_steps: 2 };
  t.is(stepOptions(resolve('dpo', yaml(given))).normalization, 'step');
  t.deepEqual(
    stepOptions(resolve('dpo', yaml({ ...given, normalization: 'micro' }))).normalization,
    {
      microBatch: 4,
    },
  );
});

test('groups that do not fit a batch of samples are refused', (t) => {
  const config = resolve('grpo', yaml({ per_device_train_batch_size: 6 }));
  t.throws(() => batchOf(config), { message: /multiple of num_generations/ });
});
