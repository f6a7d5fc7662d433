// Training runs of TRL, reproduced from their data files: each logged number and the final weights.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { JsonObject } from '../../src/checkpoint/json.js';
import { datasetSource } from '../../src/sources/dataset.js';
import { Encoder } from '../../src/text/encoding.js';
import type { Example, TextRecord } from '../../src/text/example.js';
import { Tokenizer } from '../../src/text/tokenizer.js';
import type { TrainStep } from '../../src/training/run.js';
import { train } from '../../src/training/train.js';
import {
  type TrlTrainer,
  cutAsTrl,
  encodingFromTrl,
  objectiveFromTrl,
  trainOptionsFromTrl,
} from '../../src/training/trl-settings.js';
import { load, tensorsOf, weightsOf } from '../helpers/models.js';
import { goldens, referenceTest } from '../helpers/reference-files.js';

const folder = join(goldens, 'trl');

type Line = Readonly<Record<string, unknown>>;

const linesOf = (path: string): Line[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

const runs = existsSync(folder)
  ? readdirSync(folder).filter((name) => existsSync(join(folder, name, 'settings.json')))
  : [];

/** Each trainer logs something that no other does. */
const trainerOf = (logged: Line): TrlTrainer => {
  if ('log_odds_ratio' in logged) return 'orpo';
  if ('nll_loss' in logged) return 'cpo';
  if ('min_reward' in logged) return 'reward';
  if ('kl' in logged) return 'kto';
  return 'rewards/chosen' in logged ? 'dpo' : 'sft';
};

const recordOf = (row: Line, trainer: TrlTrainer, origin: string): TextRecord => {
  const text = (key: string): string => row[key] as string;
  const prompt = text('prompt');
  if (trainer === 'kto') {
    const label = row.label as boolean;
    return { kind: 'unpaired', prompt, completion: text('completion'), label, origin };
  }
  if (trainer === 'sft') {
    return { kind: 'completion', prompt, completion: text('chosen'), origin };
  }
  const [chosen, rejected] = [text('chosen'), text('rejected')];
  return { kind: 'preference', prompt, chosen, rejected, origin };
};

const examplesOf = async (
  trainer: TrlTrainer,
  settings: JsonObject,
  start: string,
): Promise<Example[]> => {
  const file = trainer === 'kto' ? 'unpaired.jsonl' : 'preferences.jsonl';
  const options = encodingFromTrl(trainer, settings, { faithful: true });
  const encoder = new Encoder(await Tokenizer.load(start), options);
  const isContrastive = trainer === 'cpo' || trainer === 'orpo';
  const examples = linesOf(join(folder, file)).flatMap((row, i) => {
    const { example } = encoder.encode(recordOf(row, trainer, `${file}:${i + 1}`));
    if (!example) return [];
    return [isContrastive ? cutAsTrl(example, settings) : example];
  });
  const batch = Number(settings.per_device_train_batch_size ?? 8);
  const whole = Math.floor(examples.length / batch) * batch;
  return settings.dataloader_drop_last === true ? examples.slice(0, whole) : examples;
};

/** Of the numbers that we log too; `logits/*`, token counts and accuracies of tokens we do not. */
const logged = (line: Line, step: TrainStep): [string, number, number | undefined][] => {
  const ours: Readonly<Record<string, number | undefined>> = {
    ...step.metrics,
    loss: step.loss,
    grad_norm: step.gradNorm,
    learning_rate: step.learningRate,
    epoch: step.epoch,
    step: step.index,
  };
  return Object.entries(line)
    .filter(([name]) => !/^logits\/|^num_tokens$|^mean_token_accuracy$/.test(name))
    .map(([name, value]) => [name, value as number, ours[name]]);
};

/** The acceptance limit: 1e-4 relative, absolutely 1e-5 near zero. */
const isClose = (ours: number | undefined, theirs: number): boolean =>
  ours !== undefined && Math.abs(ours - theirs) <= Math.max(1e-5, 1e-4 * Math.abs(theirs));

const assertWeights = async (
  t: ExecutionContext,
  ours: Promise<ReadonlyMap<string, Float32Array>>,
  path: string,
): Promise<void> => {
  const [own, theirs] = await Promise.all([ours, tensorsOf(path)]);
  t.deepEqual([...own.keys()].sort(), [...theirs.keys()].sort());
  for (const [name, expected] of theirs) {
    const values = own.get(name)!;
    t.is(values.length, expected.length, name);
    const worst = expected.reduce((max, x, i) => Math.max(max, Math.abs(x - values[i]!)), 0);
    t.true(worst <= 1e-4, `${name} differs by ${worst}`);
  }
};

for (const run of runs) {
  referenceTest(`TRL's run ${run}`, async (t) => {
    const lines = linesOf(join(folder, run, 'log.jsonl')).filter((line) => 'loss' in line);
    const trainer = trainerOf(lines[0]!);
    const settings = JSON.parse(
      readFileSync(join(folder, run, 'settings.json'), 'utf8'),
    ) as JsonObject;
    const start = join(folder, trainer === 'reward' ? 'reward-start' : 'start');
    const policy = await load(t, start, { dtype: 'f32' });
    const options = {
      ...trainOptionsFromTrl(trainer, settings),
      // TRL's SFT averages the entropy over micro-batches whatever their size, unlike its loss.
      logEntropy: 'entropy' in lines[0]! && trainer !== 'sft',
      steps: Number(settings.max_steps),
      objective: objectiveFromTrl(trainer, settings, { faithful: true }),
      source: datasetSource({ examples: await examplesOf(trainer, settings, start) }),
    };
    const steps: TrainStep[] = [];
    for await (const step of train({ policy, ...options })) steps.push(step);
    t.is(steps.length, lines.length);
    for (const [i, line] of lines.entries()) {
      for (const [name, theirs, ours] of logged(line, steps[i]!)) {
        if (trainer === 'sft' && name === 'entropy') continue;
        // TRL logs a KL of 0 for the loss that estimates none.
        if (name === 'kl' && settings.loss_type === 'apo_zero_unpaired') continue;
        t.true(isClose(ours, theirs), `step ${i + 1}, ${name}: ${String(ours)}, TRL ${theirs}`);
      }
    }
    await assertWeights(t, weightsOf(policy), join(folder, run, 'final.safetensors'));
  });
}

referenceTest('there are runs of TRL to reproduce', (t) => {
  t.true(runs.length > 0);
});
