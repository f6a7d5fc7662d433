// Training under kill -9: offline and on the policy's samples, a run that was killed and resumed
// leaves the weights, moments, metrics, samples and states of the uninterrupted one, bit for bit.
// (Class 30 of the known bugs, for each kind of source; 34: a resumption shifts no random stream.)
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { temporaryFolder } from '../checkpoint/helpers.js';
import { contentsOf, runTraining } from './folders.js';
import { type TrainRun, trainRun } from './train-loop.js';

const never = (): void => {
  throw new Error('Nothing should die here.');
};

type Kill = NonNullable<TrainRun['kill']>;

const endsAsWhole = async (
  t: ExecutionContext,
  plan: TrainRun,
  kills: readonly (Kill | { readonly killAfter: number })[],
): Promise<void> => {
  const folder = await temporaryFolder(t);
  const [whole, torn] = [join(folder, 'whole'), join(folder, 'torn')];
  await trainRun(whole, plan, never);
  for (const [i, kill] of kills.entries()) {
    const death = 'killAfter' in kill ? kill : { kill };
    const resume = i > 0 && 'auto';
    const outcome = await runTraining(t, 'train-run.ts', torn, { ...plan, ...death, resume });
    if (!('killAfter' in kill)) t.is(outcome, 'killed', JSON.stringify(kill));
  }
  await trainRun(torn, { ...plan, resume: 'auto' }, never);
  const contents = await contentsOf(whole);
  t.deepEqual(await contentsOf(torn), contents);
  t.true(`checkpoint-${plan.steps}/model.safetensors` in contents);
};

test.serial('offline dpo with a moving reference, through the ends of epochs', (t) =>
  endsAsWhole(t, { kind: 'offline-dpo', steps: 9, checkpoints: 2, dtype: 'bf16' }, [
    { step: 3, during: 'save' },
    { step: 5, during: 'step' },
    { step: 8, during: 'take' },
  ]),
);

test.serial('online ipo from snapshots, with its record of samples', (t) =>
  endsAsWhole(t, { kind: 'online-ipo', steps: 8, checkpoints: 3, dtype: 'f32' }, [
    { step: 2, during: 'take' },
    { step: 5, during: 'step' },
    { step: 6, during: 'save' },
    { killAfter: 300 },
  ]),
);

test.serial('ppo within a rollout, with its critic', (t) =>
  endsAsWhole(t, { kind: 'ppo', steps: 10, checkpoints: 3, dtype: 'bf16' }, [
    { step: 4, during: 'step' },
    { step: 9, during: 'save' },
    { step: 9, during: 'step' },
  ]),
);
