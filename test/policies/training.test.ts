// Enumerable policies in the library's own loop: where the optimum of an objective is known in closed
// form, training ends there; resumed and hybrid runs keep their promises for these policies as well.
import { join } from 'node:path';
import test from 'ava';
import type { RewardJudge } from '../../src/judges/judge.js';
import { dpo } from '../../src/objectives/dpo.js';
import { hypo } from '../../src/objectives/hypo.js';
import { objectiveEntry } from '../../src/objectives/index.js';
import { ipo } from '../../src/objectives/ipo.js';
import type { Objective } from '../../src/objectives/objective.js';
import { rloo } from '../../src/objectives/rloo.js';
import {
  type EnumerablePolicy,
  ResponseSpace,
  exactKl,
  logLinearPolicy,
  noPrompt,
  tabularPolicy,
} from '../../src/policies/index.js';
import { datasetPairs } from '../../src/sources/dataset.js';
import { hybrid } from '../../src/sources/mixture.js';
import { onPolicyGroups } from '../../src/sources/on-policy.js';
import type { Source } from '../../src/sources/source.js';
import type { Example } from '../../src/text/example.js';
import { adamW } from '../../src/training/optimizer.js';
import { RunFolder } from '../../src/training/run-folder.js';
import { train } from '../../src/training/train.js';
import { temporaryFolder } from '../checkpoint/helpers.js';
import { largestDifference } from './helpers.js';

const pairOf = (chosen: number, rejected: number, i: number): Example => ({
  kind: 'pair',
  prompt: noPrompt,
  responses: [{ tokens: Int32Array.of(chosen) }, { tokens: Int32Array.of(rejected) }],
  origin: `pair ${i}`,
});

/** Response 0 preferred to 1 in five of eight, 1 to 2 in six of eight; 3 is in no pair. */
const pairs = [
  ...Array.from({ length: 8 }, (_, i) => (i < 5 ? pairOf(0, 1, i) : pairOf(1, 0, i))),
  ...Array.from({ length: 8 }, (_, i) => (i < 6 ? pairOf(1, 2, i + 8) : pairOf(2, 1, i + 8))),
];
const oddsOf = [Math.log(5 / 3), Math.log(3)] as const;

const base = [0.5, -0.3, 0.2, -1];
const start = (space: ResponseSpace): EnumerablePolicy =>
  tabularPolicy({ space, logits: (_, response) => base[response]! });
const four = () => ResponseSpace.of([[0], [1], [2], [3]]);

const prompts = [{ tokens: noPrompt, text: '' }];

interface Run {
  readonly policy: EnumerablePolicy;
  readonly source: Source;
  readonly objective: Objective;
  readonly steps?: number;
  readonly learningRate?: number;
  readonly batchSize?: number;
}

const trained = async ({ steps = 250, learningRate = 0.2, batchSize = 16, ...run }: Run) => {
  const losses: number[] = [];
  const optimizer = adamW({ learningRate, maxGradNorm: 0 });
  const options = { ...run, optimizer, steps, batchSize, schedule: { type: 'linear' } } as const;
  for await (const { loss } of train(options)) losses.push(loss);
  return losses;
};

const offline = (): Source => datasetPairs({ examples: pairs });

/** log pi / pi_ref, less that of response 1. */
const ratios = (policy: EnumerablePolicy): number[] => {
  const logs = policy.edgeLogProbs(0);
  return [...logs].map((log, i) => log - logs[1]! - (base[i]! - base[1]!));
};

test('DPO ends where the implicit reward is that of Bradley and Terry', async (t) => {
  const policy = start(four());
  await trained({ policy, source: offline(), objective: dpo({ beta: 0.5 }) });
  const expected = [oddsOf[0] / 0.5, 0, -oddsOf[1] / 0.5];
  // f32 log-probabilities leave the optimum by less.
  t.true(largestDifference(ratios(policy).slice(0, 3), expected) < 1e-4);
});

test('IPO ends at (2 p - 1) / (2 beta)', async (t) => {
  const policy = start(four());
  await trained({ policy, source: offline(), objective: ipo({ beta: 0.5 }) });
  const expected = [2 * (5 / 8) - 1, 0, -(2 * (6 / 8) - 1)];
  t.true(largestDifference(ratios(policy).slice(0, 3), expected) < 1e-4);
});

test('RLOO with its KL ends near pi_ref exp(r / beta)', async (t) => {
  const space = four();
  const policy = start(space);
  const rewards = [0.3, -0.1, 0.6, 0];
  const judge: RewardJudge<'proxy'> = {
    kind: 'reward',
    role: 'proxy',
    name: 'table',
    version: '1',
    score: (asked) => Promise.resolve(asked.map(({ response }) => rewards[response.tokens[0]!]!)),
  };
  const decode = (tokens: Int32Array): string => tokens.join();
  const source = onPolicyGroups({ policy, prompts, judge, decode, samples: 4, seed: 1 });
  await trained({ policy, source, objective: rloo({ beta: 0.4 }), steps: 500, learningRate: 0.05 });
  const best = tabularPolicy({
    space,
    logits: (_, response) => base[response]! + rewards[response]! / 0.4,
  });
  // Sampling noise at the end of the schedule; at the start it is 0.36.
  t.true(exactKl(policy, best) < 0.005, `${exactKl(policy, best)}`);
  t.true(exactKl(start(space), best) > 0.1);
});

test('a log-linear policy gives an unseen response what its features say', async (t) => {
  const space = ResponseSpace.of([[0], [1], [2]]);
  const features = [[1], [0], [3]];
  const policy = logLinearPolicy({ space, features: (_, response) => features[response]! });
  const examples = Array.from({ length: 8 }, (_, i) => (i < 5 ? pairOf(0, 1, i) : pairOf(1, 0, i)));
  const source = datasetPairs({ examples });
  await trained({ policy, source, objective: dpo({ beta: 1 }), batchSize: 8 });
  const [theta] = policy.parameters;
  t.true(Math.abs(theta! - oddsOf[0]) < 1e-4);
  const [first, , third] = policy.edgeLogProbs(0);
  t.true(Math.abs(third! - first! - 2 * theta!) < 1e-9);
});

const withSamples = (policy: EnumerablePolicy, samples = 2): Source =>
  hybrid({
    pairs: offline(),
    samples: onPolicyGroups({ policy, prompts, samples, seed: 4 }),
  });

for (const loss of ['dpo', 'ipo', 'slic']) {
  test(`hypo with lambda 0 and samples beside the pairs is ${loss} to the bit`, async (t) => {
    const [plain, none, some] = [start(four()), start(four()), start(four())];
    const run = { steps: 20 };
    const alone = await trained({
      ...run,
      policy: plain,
      source: offline(),
      objective: objectiveEntry(loss).make(),
    });
    const zero = await trained({
      ...run,
      policy: none,
      source: withSamples(none),
      objective: hypo.make({ loss, lambda: 0 }),
    });
    t.deepEqual(zero, alone);
    t.deepEqual(none.parameters, plain.parameters);
    await trained({
      ...run,
      policy: some,
      source: withSamples(some),
      objective: hypo.make({ loss, lambda: 0.1 }),
    });
    t.notDeepEqual(some.parameters, plain.parameters);
  });
}

test('hypo holds the KL down, the more the larger lambda is', async (t) => {
  const found: number[] = [];
  for (const lambda of [0, 0.1, 1]) {
    const policy = start(four());
    const objective = hypo({ beta: 0.2, lambda, baseline: 'none' });
    await trained({ policy, source: withSamples(policy, 4), objective, steps: 400 });
    found.push(exactKl(policy, start(policy.space)));
  }
  t.true(found[1]! < found[0]! && found[2]! < found[1]! / 10, found.join());
});

test('a run folder takes such a policy, and a resumed run equals the uninterrupted one', async (t) => {
  const root = await temporaryFolder(t);
  const run = async (folder: string, stop: number, resume: boolean) => {
    const policy = start(four());
    const source = hybrid({
      pairs: datasetPairs({ examples: pairs, order: 'shuffled', seed: 2 }),
      // From a snapshot of every third step, which the checkpoint has to hold.
      samples: onPolicyGroups({ policy, prompts, samples: 2, seed: 4, syncEvery: 3 }),
    });
    await using recorder = await RunFolder.open(folder, { config: {}, resume });
    const steps = train({
      policy,
      source,
      objective: hypo({ lambda: 0.2 }),
      optimizer: adamW({ learningRate: 0.1 }),
      schedule: { type: 'constant' },
      steps: 12,
      batchSize: 4,
      checkpoints: 4,
      recorder,
      resume,
    });
    for await (const { index } of steps) if (index === stop) break;
    await source.dispose?.();
    return policy.parameters;
  };
  const whole = await run(join(root, 'whole'), 12, false);
  await run(join(root, 'torn'), 9, false);
  t.deepEqual(await run(join(root, 'torn'), 12, true), whole);
});
