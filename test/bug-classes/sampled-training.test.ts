// Training on the policy's own samples: the ids that were drawn are the ids that are judged and
// trained on (7), the sampler has the trainer's weights (12, 33), and it can be stopped (40).
import { join } from 'node:path';
import test from 'ava';
import type { Batch } from '../../src/engine/batch.js';
import { LanguageModel } from '../../src/engine/model.js';
import { functionJudge } from '../../src/judges/function-judge.js';
import { objectiveEntry } from '../../src/objectives/index.js';
import type { Objective } from '../../src/objectives/objective.js';
import { ExperienceLog, readExperience, recording } from '../../src/sources/experience-log.js';
import { onPolicyGroups } from '../../src/sources/on-policy.js';
import { adamW } from '../../src/training/optimizer.js';
import { train } from '../../src/training/train.js';
import { assertError, caught, temporaryFolder } from '../checkpoint/helpers.js';
import { medium } from '../helpers/medium.js';
import { owned, weightBytes } from '../helpers/models.js';
import { MemoryRecorder, runOf, tiny } from '../training/helpers.js';

const prompts = [3, 4, 5, 6].map((token) => ({
  tokens: Int32Array.of(1, token),
  text: String(token),
}));
const sampling = { maxNewTokens: 7, stopTokens: [2] };
const grpo = () => objectiveEntry('grpo').make();
const key = (tokens: Iterable<number>): string => [...tokens].join(' ');

test('sampled ids are judged, recorded and trained on as they were drawn', async (t) => {
  const policy = await tiny(t);
  const [drawn, trained]: [string[][], string[][]] = [[], []];
  const [generate, forward] = [policy.generate.bind(policy), policy.forward.bind(policy)];
  policy.generate = async (...call) => {
    const results = await generate(...call);
    drawn.push(results.map(({ tokens }) => key(tokens)));
    return results;
  };
  policy.forward = (batch: Batch, options) => {
    trained.push(batch.flatMap((one) => (one.parent === undefined ? [] : [key(one.tokens)])));
    return forward(batch, options);
  };
  const judged: string[] = [];
  // Many ids have one text, and none of it could be encoded again to the ids.
  const decode = (response: Int32Array): string => (response.length % 2 === 0 ? 'even' : 'odd');
  const judge = functionJudge({ name: 'spy' }, ({ response }) => {
    judged.push(key(response.tokens));
    return response.tokens[0]!;
  });
  const path = join(await temporaryFolder(t), 'log.jsonl');
  const log = owned(t, await ExperienceLog.open(path));
  const source = onPolicyGroups({ policy, prompts, sampling, judge, decode, samples: 3, seed: 2 });
  await runOf({
    policy,
    source: recording(source, log),
    objective: grpo(),
    optimizer: adamW({ learningRate: 1e-2 }),
    batchSize: 4,
    rollouts: { epochs: 2 },
    steps: 6,
  });
  t.is(drawn.length, 3);
  t.deepEqual(judged, drawn.flat());
  t.deepEqual(
    trained.map((ids) => ids.toSorted()),
    drawn.flatMap((ids) => [ids.toSorted(), ids.toSorted()]),
    'two steps on each batch',
  );
  const recorded: string[] = [];
  for await (const { example } of readExperience(path)) {
    recorded.push(...example.responses.map(({ tokens }) => key(tokens)));
  }
  t.deepEqual(recorded, drawn.flat());
});

test('without learning, samples and training agree on every log-probability, at every step', async (t) => {
  const gaps = async (learningRate: number, syncEvery: number): Promise<number[]> => {
    const policy = await tiny(t);
    const objective = grpo();
    const found: number[] = [];
    const watched: Objective = {
      ...objective,
      evaluate: (rows, totals) => {
        let gap = 0;
        for (const { logProbs, behaviour } of rows.flatMap(({ sequences }) => sequences)) {
          logProbs.forEach((x, i) => (gap = Math.max(gap, Math.abs(x - behaviour![i]!))));
        }
        found.push(gap);
        return objective.evaluate(rows, totals);
      },
    };
    const judge = functionJudge({ name: 'first' }, ({ response }) => response.tokens[0]!);
    const own = { policy, prompts, sampling, judge, decode: key, samples: 4, seed: 3, syncEvery };
    await runOf({
      policy,
      source: onPolicyGroups(own),
      objective: watched,
      optimizer: adamW({ learningRate }),
      schedule: { type: 'constant' },
      batchSize: 4,
      steps: 4,
    });
    return found;
  };
  t.deepEqual(await gaps(0, 1), [0, 0, 0, 0]);
  t.deepEqual(await gaps(0, Infinity), [0, 0, 0, 0]);
  t.deepEqual(await gaps(1e-2, 1), [0, 0, 0, 0], 'a sampler of the newest weights');
  const [first, ...later] = await gaps(1e-2, Infinity);
  t.is(first, 0);
  t.true(
    later.every((gap) => gap > 1e-3),
    'a sampler that stays behind is seen',
  );
});

const endless = { maxNewTokens: 2000, stopTokens: [] };

test.serial('an abort while a step draws its samples ends the run at once', async (t) => {
  const policy = owned(t, await LanguageModel.create(medium));
  const before = await weightBytes(policy);
  const controller = new AbortController();
  const recorder = new MemoryRecorder();
  const judge = functionJudge({ name: 'none' }, () => 1);
  const run = train({
    policy,
    source: onPolicyGroups({
      policy,
      prompts,
      sampling: endless,
      judge,
      decode: key,
      samples: 16,
    }),
    objective: grpo(),
    optimizer: adamW({ learningRate: 1e-2 }),
    batchSize: 4,
    steps: 3,
    recorder,
    signal: controller.signal,
  });
  let aborted = 0;
  setTimeout(() => {
    aborted = performance.now();
    controller.abort();
  }, 30);
  assertError(t, await caught(() => run.next()), 'ABORTED');
  t.true(aborted > 0, 'it was under way');
  // 64 sequences of 2,000 tokens take minutes; one token of each takes milliseconds.
  t.true(performance.now() - aborted < 5000);
  t.deepEqual([recorder.steps.length, recorder.completed], [0, false]);
  t.true(before.equals(await weightBytes(policy)));
  const [next] = await policy.generate([[1]], { maxNewTokens: 1, stopTokens: [] });
  t.is(next!.tokens.length, 1, 'the model goes on');
});

test('an abort ends a run whose judge never answers', async (t) => {
  const policy = await tiny(t);
  const controller = new AbortController();
  const judge = functionJudge({ name: 'silent' }, () => {
    setTimeout(() => {
      controller.abort();
    }, 5);
    return new Promise<number>(() => undefined);
  });
  const run = runOf({
    policy,
    source: onPolicyGroups({ policy, prompts, sampling, judge, decode: key }),
    objective: grpo(),
    optimizer: adamW({ learningRate: 1e-2 }),
    steps: 1,
    signal: controller.signal,
  });
  assertError(t, await caught(() => run), 'ABORTED');
});
