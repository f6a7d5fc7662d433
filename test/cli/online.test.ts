// Commands whose experience the policy draws itself: replayed, resumed, judged by models.
import { cp, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { stringify } from 'yaml';
import { LanguageModel } from '../../src/engine/model.js';
import { AlignlabError } from '../../src/errors.js';
import { settingNames } from '../../src/cli/config/keys.js';
import { runTraining } from '../../src/cli/training/run.js';
import { readLines, scratch, writeLines } from './cli.js';
import { flags, resolve } from './configs.js';
import { makeStart, pairs } from './start.js';

type Values = Readonly<Record<string, unknown>>;

interface Place {
  readonly folder: string;
  readonly common: Values;
}

const place = async (t: ExecutionContext): Promise<Place> => {
  const folder = await scratch(t);
  const model = await makeStart(join(folder, 'start'));
  const dataset = await writeLines(join(folder, 'rows.jsonl'), pairs(16));
  const steps = { max_steps: '4', learning_rate: '1e-2', per_device_train_batch_size: '4' };
  return { folder, common: { model, dataset, report_to: 'none', ...steps } };
};

const train = async (command: string, values: Values): Promise<Record<string, number>[]> => {
  const output = String(values.output);
  await runTraining(resolve(command, flags(values)));
  return readLines(join(output, 'metrics.jsonl'));
};

const weights = (run: string, step = 4): Promise<Buffer> =>
  readFile(join(run, `checkpoint-${step}`, 'model.safetensors'));

const sampled = { judge: 'rule:length:target=2', max_completion_length: '6' };

test.serial(
  'a replay in the recorded order is the online run, bit for bit; a shuffled one is not',
  async (t) => {
    const { folder, common } = await place(t);
    const { dataset: _, ...rest } = common;
    const online = join(folder, 'online');
    await train('online-ipo', { ...common, ...sampled, output: online, tie_policy: 'first' });
    const again = join(folder, 'replayed');
    await train('online-ipo', { ...rest, replay: online, output: again });
    t.true((await weights(online)).equals(await weights(again)));
    const mixed = join(folder, 'shuffled');
    const shuffled = { replay: online, replay_order: 'shuffled', output: mixed };
    await train('online-ipo', { ...rest, ...shuffled });
    t.false((await weights(online)).equals(await weights(mixed)));
  },
);

test.serial(
  'iterative sampling resumed between two copies equals the uninterrupted run',
  async (t) => {
    const { folder, common } = await place(t);
    const values = { ...common, ...sampled, sync_every: '2', save_steps: '1', num_iterations: '2' };
    const [whole, part] = [join(folder, 'whole'), join(folder, 'part')];
    await train('rloo', { ...values, output: whole });
    await cp(whole, part, { recursive: true });
    await train('rloo', { ...values, output: part, resume_from_checkpoint: 'checkpoint-3' });
    t.true((await weights(whole)).equals(await weights(part)));
    const [a, b] = await Promise.all(
      [whole, part].map((run) => readFile(join(run, 'completions.jsonl'), 'utf8')),
    );
    t.is(a, b);
  },
);

test.serial('a trained reward model and a preference model judge the samples', async (t) => {
  const { folder, common } = await place(t);
  const reward = join(folder, 'reward');
  const preference = join(folder, 'preference');
  await train('reward', { ...common, max_steps: '2', output: reward });
  await train('preference', { ...common, max_steps: '2', output: preference });
  const { max_completion_length } = sampled;
  const held = { test_split_size: '4', eval_strategy: 'steps', eval_steps: '2' };
  const grpo = await train('grpo', {
    ...{ ...common, ...held, max_completion_length, judge: `reward-model:${reward}` },
    ...{ num_generations: '4', loss_type: 'dr_grpo', beta: '0.04', output: join(folder, 'grpo') },
  });
  t.true(grpo.some((line) => Number.isFinite(line.eval_reward)));
  for (const command of ['nash-md', 'xpo']) {
    const judge = `preference-model:${preference}`;
    const values = { ...common, max_completion_length, judge, max_steps: '2' };
    const lines = await train(command, { ...values, output: join(folder, command) });
    t.true(Number.isFinite(lines[1]!.loss), command);
  }
});

test.serial('hypo with lambda 0 is dpo, bit for bit', async (t) => {
  const { folder, common } = await place(t);
  const [dpo, hypo] = [join(folder, 'dpo'), join(folder, 'hypo')];
  await train('dpo', { ...common, output: dpo });
  await train('hypo', { ...common, lambda: '0', max_completion_length: '4', output: hypo });
  t.true((await weights(dpo)).equals(await weights(hypo)));
});

test.serial(
  'micro_batch_tokens cuts the passes and changes the result by rounding only',
  async (t) => {
    const { folder, common } = await place(t);
    const losses = async (output: string, values: Values): Promise<number[]> =>
      (await train('dpo', { ...common, ...values, output })).map(({ loss }) => loss!);
    const whole = await losses(join(folder, 'whole'), {});
    const cut = await losses(join(folder, 'cut'), { micro_batch_tokens: '16' });
    // Gradients are summed in another order: f32 rounding, over four steps.
    whole.forEach((loss, i) => t.true(Math.abs(loss - cut[i]!) < 1e-4));
  },
);

test.serial(
  'a reference of its own, and one that follows the policy, change the run',
  async (t) => {
    const { folder, common } = await place(t);
    const other = join(folder, 'other');
    await train('sft', { ...common, output: other });
    const run = async (name: string, values: Values): Promise<Buffer> => {
      const output = join(folder, name);
      await train('dpo', { ...common, ...values, output });
      return weights(output);
    };
    const plain = await run('plain', {});
    t.false(plain.equals(await run('own', { ref_model: other })));
    const sync = {
      sync_ref_model: 'true',
      ref_model_sync_steps: '1',
      ref_model_mixup_alpha: '0.5',
    };
    t.false(plain.equals(await run('follows', sync)));
    t.true(plain.equals(await run('cached', { precompute_ref_log_probs: 'true' })));
  },
);

test.serial(
  'bf16, recompute and threads act on the engine, not on the order of things',
  async (t) => {
    const { folder, common } = await place(t);
    const run = async (name: string, values: Values): Promise<Buffer> => {
      const output = join(folder, name);
      await train('sft', { ...common, ...values, output });
      return weights(output);
    };
    const plain = await run('plain', {});
    t.true(plain.equals(await run('recompute', { gradient_checkpointing: 'true', threads: '1' })));
    t.false(plain.equals(await run('bf16', { bf16: 'true' })));
  },
);

test.serial('a stream trains on the rows of the file in their order', async (t) => {
  const { folder, common } = await place(t);
  const order = { train_sampling_strategy: 'sequential' };
  const [list, stream] = [join(folder, 'list'), join(folder, 'stream')];
  await train('dpo', { ...common, ...order, output: list });
  await train('dpo', { ...common, ...order, dataset_streaming: 'true', output: stream });
  t.true((await weights(list)).equals(await weights(stream)));
});

test.serial('a mixture of files is weighted, and named in the manifest', async (t) => {
  const { folder, common } = await place(t);
  const second = await writeLines(join(folder, 'second.jsonl'), pairs(40).slice(20));
  const { dataset, ...rest } = common;
  const datasets = stringify([
    { path: 'json', data_files: dataset, fraction: 0.25 },
    { path: second, weight: 0.75 },
  ]);
  const output = join(folder, 'run');
  await train('dpo', { ...rest, datasets, output });
  const manifest = await readFile(join(output, 'manifest.json'), 'utf8');
  t.true(manifest.includes('second.jsonl') && manifest.includes('rows.jsonl'));
});

test.serial('what cannot be resumed says why', async (t) => {
  const { folder, common } = await place(t);
  const output = join(folder, 'run');
  await train('dpo', { ...common, output });
  const resumed = { ...common, output, resume_from_checkpoint: 'auto' };
  const error = await t.throwsAsync(train('dpo', { ...resumed, beta: '0.5' }));
  t.true(error instanceof AlignlabError);
  t.regex(error.message, /config\.yaml at beta/);
  await t.throwsAsync(
    train('dpo', { ...common, output: join(folder, 'none'), resume_from_checkpoint: 'true' }),
    { message: /no run that could be resumed/ },
  );
  await using policy = await LanguageModel.load(join(output, 'checkpoint-4'));
  t.is(policy.family, 'llama');
});

test.serial('no setting is passed over: each is read by a run beside being recorded', async (t) => {
  const { folder, common } = await place(t);
  const data = join(folder, 'data');
  await mkdir(data);
  await writeLines(join(data, 'train.jsonl'), pairs(12));
  await writeLines(join(data, 'test.jsonl'), pairs(20).slice(12));
  const reads = new Set<string>();
  const watched = async (name: string, command: string, values: Values): Promise<void> => {
    const output = join(folder, name);
    const config = resolve(command, flags({ ...common, max_steps: '1', ...values, output }));
    const counts = new Map<string, number>();
    const settings = new Proxy(config.settings, {
      get: (target, key) => {
        counts.set(String(key), (counts.get(String(key)) ?? 0) + 1);
        return Reflect.get(target, key) as unknown;
      },
    });
    await runTraining({ ...config, settings });
    // config.yaml reads each setting once.
    for (const [key, count] of counts) if (count > 1) reads.add(key);
  };
  const held = { dataset: data, eval_strategy: 'steps', eval_steps: '1', save_steps: '1' };
  await watched('offline', 'dpo', { ...held, sync_ref_model: 'true' });
  await watched('online', 'online-dpo', sampled);
  const { dataset: _, ...rest } = common;
  await watched('replay', 'online-dpo', {
    ...rest,
    dataset: 'null',
    replay: join(folder, 'online'),
  });
  await watched('nash', 'nash-md', sampled);
  await watched('ppo', 'ppo', sampled);
  const hybrid = join(folder, 'hybrid');
  const hypo = { max_completion_length: '4', groups_per_pair: '3', output: hybrid };
  await train('hypo', { ...common, max_steps: '1', ...hypo });
  t.regex(await readFile(join(hybrid, 'manifest.json'), 'utf8'), /"groupsPerPair": 3/);
  const unread = settingNames.filter((name) => !reads.has(name) && name !== 'groups_per_pair');
  t.deepEqual(unread, []);
});
