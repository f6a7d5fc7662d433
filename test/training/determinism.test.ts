// The same seed gives the same run, whatever else is done beside it; another seed another run.
// (Class 34 of the known bugs.)
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { engineInfo, setThreads } from '../../src/engine/device.js';
import { functionJudge } from '../../src/judges/function-judge.js';
import { objectiveEntry } from '../../src/objectives/index.js';
import { onPolicyPairs } from '../../src/sources/on-policy-pairs.js';
import { adamW } from '../../src/training/optimizer.js';
import type { TrainOptions } from '../../src/training/options.js';
import { RunFolder } from '../../src/training/run-folder.js';
import { temporaryFolder } from '../checkpoint/helpers.js';
import { weightBytes } from '../helpers/models.js';
import { runOf, timeless, tiny } from './helpers.js';

const prompts = [3, 4, 5, 6, 7].map((token) => ({
  tokens: Int32Array.of(1, token),
  text: String(token),
}));
const lengths = functionJudge({ name: 'lengths' }, ({ response }) => response.tokens.length);

const sampledRun = async (
  t: ExecutionContext,
  { seed = 5, ...options }: Partial<TrainOptions> & { readonly seed?: number } = {},
) => {
  const policy = await tiny(t);
  const steps = await runOf({
    policy,
    source: onPolicyPairs({
      policy,
      prompts,
      order: 'shuffled',
      judge: lengths,
      decode: (response) => response.join(' '),
      sampling: { maxNewTokens: 6, stopTokens: [2] },
      samples: 3,
      seed,
    }),
    objective: objectiveEntry('dpo').make(),
    optimizer: adamW({ learningRate: 1e-2 }),
    batchSize: 3,
    steps: 6,
    ...options,
  });
  return { steps: timeless(steps), weights: await weightBytes(policy) };
};

test('logging, evaluating by samples, saving and threads change nothing', async (t) => {
  const plain = await sampledRun(t);
  t.deepEqual(await sampledRun(t), plain);
  const folder = join(await temporaryFolder(t), 'run');
  const watched = await sampledRun(t, {
    recorder: await RunFolder.open(folder),
    checkpoints: 1,
    evaluate: {
      every: 1,
      atStart: true,
      run: async ({ policy }) => {
        const [first] = await policy.generate([[1, 3]], { maxNewTokens: 5, seed: 5 });
        return { length: first!.tokens.length };
      },
    },
  });
  t.deepEqual(watched, plain);
  const { threads } = engineInfo();
  await setThreads(threads === 1 ? 2 : 1);
  t.deepEqual(await sampledRun(t), plain);
  await setThreads(threads);
  t.notDeepEqual(await sampledRun(t, { seed: 6 }), plain);
});
