// Groups of samples: log-probabilities, seeds, snapshots, rewards, resuming.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { functionJudge } from '../../src/judges/function-judge.js';
import { toTrainGoldenPolicy } from '../../src/judges/checked.js';
import { type OnPolicyGroupOptions, onPolicyGroups } from '../../src/sources/on-policy.js';
import type { Source } from '../../src/sources/source.js';
import type { Example } from '../../src/text/example.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import {
  decode,
  drain,
  pairStub,
  perturb,
  prompts,
  provenance,
  sampling,
  sumJudge,
  throughJson,
  tinyPolicy,
} from './helpers.js';

type Options = Omit<OnPolicyGroupOptions, 'policy' | 'prompts'>;

const source = async (t: ExecutionContext, options: Partial<OnPolicyGroupOptions> = {}) => {
  const policy = options.policy ?? (await tinyPolicy(t));
  return {
    policy,
    make: (more: Options = {}): Source =>
      onPolicyGroups({ prompts, policy, sampling, samples: 3, decode, ...options, ...more }),
  };
};

const scratch = async (t: ExecutionContext): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'alignlab-source-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
};

const ids = (examples: readonly Example[]): number[][] =>
  examples.flatMap(({ responses }) => responses.map(({ tokens }) => [...tokens]));

test('behaviour is what score() says of the same ids, bit for bit (bug classes 7, 10)', async (t) => {
  const reference = await tinyPolicy(t, { seed: 2, trainable: false });
  const { policy, make } = await source(t, { reference });
  const [groups = []] = await drain(make(), 5, 1);
  t.is(groups.length, 5);
  for (const { kind, prompt, responses } of groups) {
    t.is(kind, 'group');
    t.is(responses.length, 3);
    for (const { tokens, behaviour, reference: known, truncated } of responses) {
      const forest = [
        { tokens: prompt, scored: false },
        { tokens, parent: 0 },
      ];
      t.deepEqual((await policy.score(forest)).logProbs, behaviour!);
      t.deepEqual((await reference.score(forest)).logProbs, known!);
      t.is(truncated, tokens.at(-1) !== 2);
      t.true(tokens.length === 6 || !truncated);
    }
  }
});

test('draws follow exp(behaviour) at temperature 1 (bug class 10)', async (t) => {
  const samples = 4000;
  const { policy, make } = await source(t, { samples, sampling: { ...sampling, maxNewTokens: 1 } });
  const [groups = []] = await drain(make(), 1, 1);
  const counts = new Array<number>(17).fill(0);
  for (const { tokens } of groups[0]!.responses) counts[tokens[0]!]! += 1;
  const children = counts.map((_, token) => ({ tokens: [token], parent: 0 }));
  const { logProbs } = await policy.score([
    { tokens: prompts[0]!.tokens, scored: false },
    ...children,
  ]);
  const chiSquare = counts.reduce((sum, count, token) => {
    const expected = samples * Math.exp(logProbs[token]!);
    return sum + (count - expected) ** 2 / expected;
  }, 0);
  // 16 degrees of freedom: exceeded with probability 1e-4; the seed is fixed.
  t.true(chiSquare < 45.1, `chi-square ${chiSquare}`);
});

test('samplers that are not the policy are refused, or allowed and recorded', async (t) => {
  const { policy, make } = await source(t);
  for (const biased of [
    { temperature: 0.7 },
    { temperature: 0 },
    { topK: 5 },
    { topP: 0.9 },
    { minP: 0.1 },
    { repetitionPenalty: 1.2 },
    { presencePenalty: 0.1 },
    { frequencyPenalty: 0.1 },
    { minNewTokens: 2 },
  ]) {
    const options = { sampling: { ...sampling, ...biased } };
    const [name, value] = Object.entries(biased)[0]!;
    assertError(t, await caught(() => make(options)), 'OPTION_INVALID', `${name} ${value}`);
    const allowed = make({ ...options, allowBiasedSampling: true });
    t.like(allowed.describe(), { sampling: { allowBiasedSampling: true, ...biased } });
    const [groups = []] = await drain(allowed, 2, 1);
    const drawn = groups.flatMap((group) => [...provenance(group).samples]);
    t.true(
      drawn.some(({ processed }) => processed !== undefined),
      name,
    );
  }
  const [plain = []] = await drain(make(), 2, 1);
  t.true(plain.every((group) => provenance(group).samples.every((each) => !each.processed)));
  const drawn = await policy.generate([[1, 2, 3]], { ...sampling, samples: 8 });
  for (const { logProbs, processedLogProbs } of drawn) {
    // The sampler sums the same f32 terms in its own order.
    logProbs.forEach((value, i) => t.true(Math.abs(value - processedLogProbs[i]!) < 1e-5));
  }
});

test('the same seed gives the same samples, another one others (bug class 34)', async (t) => {
  const { make } = await source(t);
  const samples = async (options: Options) => ids((await drain(make(options), 3, 4)).flat());
  t.deepEqual(await samples({ seed: 5 }), await samples({ seed: 5 }));
  t.notDeepEqual(await samples({ seed: 5 }), await samples({ seed: 6 }));
  t.deepEqual(
    await samples({ seed: 5, sampling: { ...sampling, maxBatch: 2 } }),
    await samples({ seed: 5 }),
  );
});

test('a prompt that comes again is sampled anew', async (t) => {
  const { make } = await source(t, { samples: 4, sampling: { ...sampling, maxNewTokens: 12 } });
  const batches = await drain(make(), prompts.length, 2);
  t.notDeepEqual(ids(batches[0]!), ids(batches[1]!));
  const seeds = batches.flat().flatMap((each) => provenance(each).samples.map(({ seed }) => seed));
  t.is(new Set(seeds).size, seeds.length);
});

test('how the prompts are cut into batches does not change the samples', async (t) => {
  const { make } = await source(t);
  const samples = async (count: number) => ids((await drain(make({ epochs: 1 }), count)).flat());
  t.deepEqual(await samples(2), await samples(7));
});

for (const syncEvery of [1, 3, Infinity]) {
  test(`resumed at any step, with syncEvery ${syncEvery}, it goes on exactly`, async (t) => {
    const steps = 7;
    const folder = await scratch(t);
    const run = async (stop: number): Promise<unknown[]> => {
      const policy = await tinyPolicy(t);
      const make = () =>
        onPolicyGroups({ prompts, policy, sampling, samples: 2, syncEvery, order: 'shuffled' });
      let own = make();
      const taken: unknown[] = [];
      for (let step = 0; step < steps; ++step) {
        if (step === stop) {
          const state = throughJson(own);
          await own.save!(join(folder, `${syncEvery}-${stop}`));
          await own.dispose!();
          own = make();
          own.restore(state);
          await own.load!(join(folder, `${syncEvery}-${stop}`));
        }
        taken.push(await own.take(3, { step }));
        await perturb(policy);
      }
      await own.dispose!();
      return taken;
    };
    const whole = await run(steps);
    for (const stop of [0, 1, 3, 5]) t.deepEqual(await run(stop), whole, `stopped at ${stop}`);
  });
}

test('samples come from the weights that their record says (bug class 33)', async (t) => {
  for (const [syncEvery, expected] of [
    [1, [0, 1, 2, 3, 4, 5, 6]],
    [3, [0, 0, 0, 3, 3, 3, 6]],
    [Infinity, [0, 0, 0, 0, 0, 0, 0]],
  ] as const) {
    const policy = await tinyPolicy(t);
    const own = onPolicyGroups({ prompts, policy, sampling, samples: 2, syncEvery });
    const weights = [await policy.clone({ trainable: false })];
    for (let step = 0; step < 7; ++step) {
      const groups = await own.take(2, { step });
      t.is(own.metrics!()['sampler/age'], step - expected[step]!);
      for (const group of groups) {
        const { generator } = provenance(group).samples[0]!;
        t.deepEqual(generator, { id: 'policy', step: expected[step]! });
        const { tokens, behaviour } = group.responses[0]!;
        const forest = [
          { tokens: group.prompt, scored: false },
          { tokens, parent: 0 },
        ];
        t.deepEqual((await weights[generator.step]!.score(forest)).logProbs, behaviour!);
      }
      await perturb(policy);
      weights.push(await policy.clone({ trainable: false }));
    }
    await own.dispose!();
    await Promise.all(weights.map((model) => model.dispose()));
  }
});

test('a token that an update makes certain is drawn next (bug class 33)', async (t) => {
  const policy = await tinyPolicy(t, { spread: 0.1 });
  const own = onPolicyGroups({ prompts, policy, sampling, samples: 4 });
  const stale = onPolicyGroups({ prompts, policy, sampling, samples: 4, syncEvery: Infinity });
  await stale.take(2, { step: 0 });
  for (let i = 0; i < 60; ++i) {
    using pass = await policy.forward(
      prompts.map(({ tokens }) => ({ tokens: [...tokens, 7, 7, 7] })),
    );
    await pass.backward({ logProbs: pass.logProbs.map(() => -1) });
    await policy.step({ learningRate: 0.02 });
  }
  const share = async (from: Source): Promise<number> => {
    const drawn = ids(await from.take(7, { step: 60 })).map(([first]) => first);
    return drawn.filter((token) => token === 7).length / drawn.length;
  };
  t.true((await share(own)) > 0.6);
  t.true((await share(stale)) < 0.3, 'an offline sampler stays with the start policy');
  await stale.dispose!();
});

test('without its snapshot a restored source says what is missing', async (t) => {
  const { make } = await source(t, { syncEvery: 4 });
  const own = make();
  await own.take(1, { step: 0 });
  const resumed = make();
  resumed.restore(throughJson(own));
  const error = await caught(() => resumed.take(1, { step: 1 }));
  assertError(t, error, 'RUN_INVALID', 'step 0', 'load()');
  await own.dispose!();
});

test('the judge sees prompt and response as text and ids, and the columns', async (t) => {
  const seen: unknown[] = [];
  const judge = functionJudge({ name: 'spy', version: '2' }, (request) => {
    seen.push(request);
    return request.response.text.length;
  });
  const { make } = await source(t, { judge });
  const [groups = []] = await drain(make(), 2, 1);
  t.is(seen.length, 6);
  const { tokens, truncated, reward } = groups[1]!.responses[2]!;
  t.deepEqual(seen[5], {
    prompt: 'prompt 1',
    promptTokens: prompts[1]!.tokens,
    columns: { number: 1 },
    response: { text: decode(tokens), tokens, truncated },
  });
  t.is(reward, decode(tokens).length);
  t.like(provenance(groups[0]!), { outcome: 'delivered', judge: { name: 'spy', version: '2' } });
});

test('a judge that cannot tell leaves null, which is counted', async (t) => {
  const answers = [1, NaN, null, 2, 3, 4];
  let at = 0;
  const judge = functionJudge({ name: 'stub', concurrency: 1 }, () => answers[at++]!);
  const { make } = await source(t, { judge });
  const own = make();
  const groups = await own.take(2, { step: 0 });
  t.deepEqual(
    groups.flatMap(({ responses }) => responses.map(({ reward }) => reward)),
    [1, null, null, 2, 3, 4],
  );
  t.is(own.metrics!()['judge/failed'], 2 / 6);
});

test('without a judge samples have no reward at all', async (t) => {
  const { make } = await source(t);
  const [groups = []] = await drain(make(), 2, 1);
  t.true(groups.every(({ responses }) => responses.every((each) => !('reward' in each))));
});

test('the penalty hits what was cut off, whatever the prompt holds (bug class 28)', async (t) => {
  const judge = functionJudge({ name: 'flat' }, () => 5);
  const withStop = [{ tokens: Int32Array.of(2, 9, 2), text: 'ends inside' }, ...prompts];
  const { policy } = await source(t);
  const own = onPolicyGroups({
    policy,
    prompts: withStop,
    judge,
    decode,
    samples: 8,
    sampling: { ...sampling, maxNewTokens: 12 },
    missingEosPenalty: 1.5,
  });
  const responses = (await own.take(8, { step: 0 })).flatMap((group) => [...group.responses]);
  t.true(responses.every(({ truncated, reward }) => reward === (truncated ? 3.5 : 5)));
  t.is(new Set(responses.map(({ truncated }) => truncated)).size, 2);
  const inside = (
    await onPolicyGroups({
      policy,
      prompts: withStop,
      judge,
      decode,
      samples: 8,
      sampling: { ...sampling, maxNewTokens: 1 },
      missingEosPenalty: 1.5,
    }).take(1, { step: 0 })
  )[0]!;
  t.true(
    inside.responses.some(({ reward }) => reward === 3.5),
    'the prompt has a stop token',
  );
});

test('a pair judge rewards a sample by its preference over the others', async (t) => {
  const judge = pairStub(({ first, second }) => {
    const [a, b] = [first, second].map(({ tokens }) => tokens.reduce((sum, id) => sum + id, 0));
    return a! / (a! + b!);
  });
  const { make } = await source(t, { judge });
  const [groups = []] = await drain(make(), 1, 1);
  const sums = groups[0]!.responses.map(({ tokens }) => tokens.reduce((sum, id) => sum + id, 0));
  groups[0]!.responses.forEach(({ reward }, i) => {
    const others = sums.filter((_, j) => j !== i).map((other) => sums[i]! / (sums[i]! + other));
    t.true(Math.abs(reward! - (others[0]! + others[1]!) / 2) < 1e-12);
  });
  t.is(provenance(groups[0]!).verdicts?.length, 3);
});

test('a golden judge trains nothing but the golden policy', async (t) => {
  const golden = functionJudge({ name: 'truth', role: 'golden' }, () => 1);
  const { policy } = await source(t);
  const options = { policy, prompts, sampling, decode };
  // @ts-expect-error a golden judge is no proxy
  const error = await caught(() => onPolicyGroups({ ...options, judge: golden }));
  assertError(t, error, 'OPTION_INVALID', '"truth"', 'labelPairs', 'toTrainGoldenPolicy');
  const own = onPolicyGroups({ ...options, judge: toTrainGoldenPolicy(golden) });
  t.like(own.describe(), { judge: { name: 'golden-policy:truth' } });
});

test('what does not fit together is refused', async (t) => {
  const { make, policy } = await source(t);
  const refused = async (options: Partial<OnPolicyGroupOptions>, part: string) => {
    const error = await caught(() => onPolicyGroups({ policy, prompts, sampling, ...options }));
    assertError(t, error, 'OPTION_INVALID', part);
  };
  await refused({ judge: sumJudge }, 'decode');
  await refused({ missingEosPenalty: 1 }, 'no judge');
  await refused({ missingEosPenalty: -1, judge: sumJudge, decode }, 'from 0 up');
  await refused({ missingEosPenalty: 1, judge: pairStub(() => 1), decode }, 'compares pairs');
  await refused({ missingEosPenalty: 1, judge: sumJudge, decode, sampling: {} }, 'stopTokens');
  await refused({ judge: pairStub(() => 1), decode, samples: 1 }, 'two samples');
  await refused({ samples: 0 }, 'samples');
  await refused({ syncEvery: 0 }, 'syncEvery');
  await refused({ syncEvery: 1.5 }, 'syncEvery');
  t.is(make().size, prompts.length);
});

test('an aborted take took nothing', async (t) => {
  const { make } = await source(t);
  const own = make();
  const untouched = make();
  const signal = AbortSignal.abort();
  t.truthy(await caught(() => own.take(2, { step: 0, signal })));
  const failing = functionJudge({ name: 'down' }, () => Promise.reject(new Error('down')));
  const judged = make({ judge: failing });
  t.is(((await caught(() => judged.take(2, { step: 0 }))) as Error).message, 'down');
  t.deepEqual(judged.state(), untouched.state());
  t.deepEqual(await own.take(2, { step: 0 }), await untouched.take(2, { step: 0 }));
});
