// Pairs of samples and their labels: who wins, ties, failures, orders, opponents (bug class 28).
import test, { type ExecutionContext } from 'ava';
import { functionJudge } from '../../src/judges/function-judge.js';
import type { CompareRequest, Judge } from '../../src/judges/judge.js';
import { labelPairs } from '../../src/sources/label.js';
import { type OnPolicyPairOptions, onPolicyPairs } from '../../src/sources/on-policy-pairs.js';
import type { Source } from '../../src/sources/source.js';
import type { Example } from '../../src/text/example.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import {
  decode,
  pairStub,
  pairs,
  prompts,
  provenance,
  sampling,
  sumJudge,
  throughJson,
  tinyPolicy,
} from './helpers.js';

const sum = ({ tokens }: { readonly tokens: Int32Array }): number =>
  tokens.reduce((total, id) => total + id, 0);

const source = async (
  t: ExecutionContext,
  judge: Judge<'proxy'>,
  options: Partial<OnPolicyPairOptions> = {},
): Promise<Source> =>
  onPolicyPairs({ policy: await tinyPolicy(t), prompts, judge, decode, sampling, ...options });

/** By the prompt's number: win of the first, win of the second, tie, error, and again. */
const outcomes = ['first', 'second', 'tie', 'error'] as const;
const outcomeOf = ({ columns }: CompareRequest): (typeof outcomes)[number] =>
  outcomes[(columns!.number as number) % 4]!;
const scripted = pairStub(
  (request) => ({ first: 1, second: 0, tie: 0.5, error: -1 })[outcomeOf(request)],
);

test('win, lose, tie and error: each ends where it belongs', async (t) => {
  const dropped: Example[] = [];
  const own = await source(t, scripted);
  const context = { step: 3, dropped: (example: Example) => dropped.push(example) };
  const examples = await own.take(7, context);
  t.deepEqual(
    examples.map(({ origin }) => origin),
    [0, 1, 4, 5].map((i) => `step 3, prompt prompts:${i}`),
  );
  examples.forEach((example, i) => {
    const { outcome, tie, samples, verdicts } = provenance(example);
    t.is(example.kind, 'pair');
    t.deepEqual(
      samples.map(({ sample }) => sample),
      i % 2 === 0 ? [0, 1] : [1, 0],
    );
    t.deepEqual(
      [outcome, tie, verdicts![0]!.preference],
      ['delivered', false, i % 2 === 0 ? 1 : 0],
    );
    t.deepEqual(
      example.responses.map(({ reward }) => reward),
      [1, 0],
    );
  });
  t.deepEqual(
    dropped.map((example) => [provenance(example).outcome, provenance(example).tie]),
    [
      ['tie', true],
      ['judge-failed', false],
      ['tie', true],
    ],
  );
  t.like(own.metrics!(), { 'judge/ties': 2 / 7, 'judge/failed': 1 / 7 });
});

test('ties: dropped, for the first as in TRL, or by lot', async (t) => {
  const tie = pairStub(() => 0.5);
  const orders = async (options: Partial<OnPolicyPairOptions>): Promise<string[]> => {
    const examples = await (await source(t, tie, options)).take(14, { step: 0 });
    return examples.map((example) =>
      provenance(example)
        .samples.map((each) => each.sample)
        .join(),
    );
  };
  t.deepEqual(await orders({ ties: 'first' }), Array<string>(14).fill('0,1'));
  const byLot = await orders({ ties: 'random', seed: 1 });
  t.is(new Set(byLot).size, 2);
  t.deepEqual(await orders({ ties: 'random', seed: 1 }), byLot);
  t.notDeepEqual(await orders({ ties: 'random', seed: 2 }), byLot);
  const error = await caught(() => orders({}));
  assertError(t, error, 'JUDGE_UNDECIDED', '"stub"', "ties: 'random'");
});

test('a judge that answers NaN or -1 or throws away its verdicts trains nothing', async (t) => {
  for (const answer of [NaN, -1, 2, null]) {
    const error = await caught(async () =>
      (
        await source(
          t,
          pairStub(() => answer),
        )
      ).take(2, { step: 0 }),
    );
    assertError(t, error, 'JUDGE_UNDECIDED');
  }
});

test('a batch of ties is drawn again; the prompts are then used up sooner', async (t) => {
  let calls = 0;
  const late = pairStub(({ columns }) => (calls++ < 3 ? 0.5 : Number(columns!.number) % 2));
  const own = await source(t, late, { epochs: 1 });
  const examples = await own.take(3, { step: 0 });
  t.deepEqual(
    examples.map(({ origin }) => origin),
    [3, 4, 5].map((i) => `step 0, prompt prompts:${i}`),
  );
  t.is((await own.take(3, { step: 1 })).length, 1);
  t.is((await own.take(3, { step: 2 })).length, 0);
});

test('the order in which the judge is shown a pair changes nothing', async (t) => {
  const better = ({ first, second }: CompareRequest): number => {
    const [a, b] = [sum(first), sum(second)];
    return a === b ? 0.5 : a > b ? 1 : 0;
  };
  const judges = [
    pairStub(better),
    pairStub((each) => 1 - better({ ...each, first: each.second, second: each.first })),
    pairStub(better, true),
    sumJudge,
  ];
  const taken = await Promise.all(
    judges.map(async (judge) => (await source(t, judge)).take(7, { step: 0 })),
  );
  const ids = taken.map((examples) =>
    examples.map(({ responses }) => responses.map(({ tokens }) => [...tokens])),
  );
  for (const other of ids) t.deepEqual(other, ids[0]);
  t.true(taken[0]!.every(({ responses: [a, b] }) => sum(a!) > sum(b!)));
});

test('of n samples the best and the worst become the pair', async (t) => {
  const all: number[] = [];
  const spy = functionJudge({ name: 'spy' }, ({ response }) => {
    all.push(sum(response));
    return sum(response);
  });
  const compared = pairStub(({ first, second }) => 1 / (1 + Math.exp(sum(second) - sum(first))));
  const byReward = await (await source(t, spy, { samples: 5 })).take(1, { step: 0 });
  const byPairs = await (await source(t, compared, { samples: 5 })).take(1, { step: 0 });
  t.is(all.length, 5);
  for (const [example] of [byReward, byPairs]) {
    t.deepEqual(example!.responses.map(sum), [Math.max(...all), Math.min(...all)]);
  }
  t.is(provenance(byPairs[0]!).verdicts!.length, 10);
});

test('a response that was cut off loses by the penalty, whatever the prompt holds', async (t) => {
  const flat = functionJudge({ name: 'flat' }, () => 0);
  const own = await source(t, flat, {
    prompts: [{ tokens: Int32Array.of(2, 9, 2), text: 'has a stop token' }],
    sampling: { ...sampling, maxNewTokens: 12 },
    missingEosPenalty: 1,
  });
  const examples = await own.take(40, { step: 0 });
  t.true(examples.length > 0);
  for (const { responses } of examples) {
    t.deepEqual(
      responses.map(({ truncated }) => truncated),
      [false, true],
    );
    t.deepEqual(
      responses.map(({ reward }) => reward),
      [0, -1],
    );
  }
});

test('an opponent: the reference draws one of the two, and is marked', async (t) => {
  const policy = await tinyPolicy(t);
  const reference = await tinyPolicy(t, { seed: 9, trainable: false });
  const own = onPolicyPairs({
    policy,
    reference,
    prompts,
    judge: sumJudge,
    decode,
    sampling,
    opponent: 'reference',
  });
  const examples = await own.take(7, { step: 4 });
  t.true(examples.length > 2);
  for (const example of examples) {
    const { samples } = provenance(example);
    for (const [r, response] of example.responses.entries()) {
      const { generator, sample } = samples[r]!;
      t.deepEqual(
        generator,
        sample === 1 ? { id: 'reference', step: 0 } : { id: 'policy', step: 4 },
      );
      t.is(response.fromReference, sample === 1);
      const forest = [
        { tokens: example.prompt, scored: false },
        { tokens: response.tokens, parent: 0 },
      ];
      const model = sample === 1 ? reference : policy;
      t.deepEqual((await model.score(forest)).logProbs, response.behaviour!);
      t.deepEqual((await reference.score(forest)).logProbs, response.reference!);
    }
  }
  t.like(own.describe(), { source: 'policy and opponent', opponent: 'reference' });
});

test('an opponent: the mixture lies between policy and reference', async (t) => {
  const policy = await tinyPolicy(t);
  const reference = await tinyPolicy(t, { seed: 9, trainable: false });
  const options = {
    policy,
    reference,
    prompts,
    judge: sumJudge,
    decode,
    sampling,
    opponent: 'mixture',
  } as const;
  for (const mixtureWeight of [0, 0.25, 1]) {
    const [example] = await onPolicyPairs({ ...options, mixtureWeight }).take(1, { step: 0 });
    const at = provenance(example!).samples.findIndex(({ sample }) => sample === 1);
    t.is(provenance(example!).samples[at]!.generator.id, `mixture(${mixtureWeight})`);
    const { tokens, behaviour } = example!.responses[at]!;
    const every = Array.from({ length: 17 }, (_, id) => ({ tokens: [id], parent: 0 }));
    const next = async (model: typeof policy) =>
      (await model.score([{ tokens: example!.prompt, scored: false }, ...every])).logProbs;
    const [own, other] = [await next(policy), await next(reference)];
    const mixed = own.map((value, id) => (1 - mixtureWeight) * value + mixtureWeight * other[id]!);
    const norm = Math.log(mixed.reduce((total, value) => total + Math.exp(value), 0));
    // f32 log-probabilities of two models, mixed and normalised: some 1e-7 each.
    t.true(Math.abs(behaviour![0]! - (mixed[tokens[0]!]! - norm)) < 2e-6);
  }
});

test('samples with their preference over the opponent, for Nash-MD', async (t) => {
  const policy = await tinyPolicy(t);
  const reference = await tinyPolicy(t, { seed: 9, trainable: false });
  const options = {
    policy,
    reference,
    prompts,
    judge: scripted,
    decode,
    sampling,
    yields: 'samples',
  } as const;
  const own = onPolicyPairs({ ...options, opponent: 'mixture', mixtureWeight: 0.5 });
  const examples = await own.take(4, { step: 0 });
  t.deepEqual(
    examples.map(({ kind, responses }) => [kind, ...responses.map(({ reward }) => reward)]),
    [
      ['group', 1],
      ['group', 0],
      ['group', 0.5],
    ],
  );
  const [first] = examples;
  t.is(provenance(first!).samples[0]!.generator.id, 'policy');
  t.is(provenance(first!).opponent!.sample.generator.id, 'mixture(0.5)');
  t.true(provenance(first!).opponent!.response.tokens.length > 0);
  t.is(own.metrics!()['judge/failed'], 1 / 4);
  const self = await onPolicyPairs({ ...options, opponent: 'policy' }).take(3, { step: 0 });
  t.deepEqual(
    self.map(({ responses }) => responses.map(({ reward }) => reward)),
    [
      [1, 0],
      [0, 1],
      [0.5, 0.5],
    ],
  );
  const soft = await onPolicyPairs({ ...options, judge: sumJudge, opponent: 'reference' }).take(7, {
    step: 0,
  });
  t.true(soft.every(({ responses: [only] }) => only!.reward! >= 0 && only!.reward! <= 1));
});

test('resumed after any batch, ties by lot included, it goes on exactly', async (t) => {
  const make = () =>
    source(
      t,
      pairStub(({ columns }) => Number(columns!.number) / 6),
      { ties: 'random', order: 'shuffled' },
    );
  const run = async (stop: number): Promise<unknown[]> => {
    let own = await make();
    const taken: unknown[] = [];
    for (let step = 0; step < 4; ++step) {
      if (step === stop) {
        const state = throughJson(own);
        own = await make();
        own.restore(state);
      }
      taken.push(await own.take(3, { step }));
    }
    return taken;
  };
  const whole = await run(4);
  for (const stop of [1, 3]) t.deepEqual(await run(stop), whole);
});

test('what does not fit together is refused', async (t) => {
  const policy = await tinyPolicy(t);
  const refused = async (options: object, part: string): Promise<void> => {
    const given = { policy, prompts, judge: scripted, decode, sampling, ...options };
    assertError(t, await caught(() => onPolicyPairs(given)), 'OPTION_INVALID', part);
  };
  await refused({ samples: 1 }, 'samples');
  await refused({ ties: 'both' }, 'ties');
  await refused({ opponent: 'nobody' }, 'opponent');
  await refused({ opponent: 'reference' }, 'Give reference');
  await refused({ opponent: 'mixture', reference: policy, samples: 4 }, 'one response of two');
  await refused({ opponent: 'mixture', reference: policy, mixtureWeight: 2 }, 'from 0 to 1');
  await refused({ mixtureWeight: 0.5 }, 'mixtureWeight');
  await refused({ yields: 'samples', ties: 'drop' }, 'ties does not act');
  await refused({ yields: 'samples', samples: 3 }, 'samples does not act');
  await refused({ judge: undefined }, 'judge');
  const golden = functionJudge({ name: 'truth', role: 'golden' }, () => 1);
  const given = { policy, prompts, decode, sampling };
  // @ts-expect-error a golden judge is no proxy
  assertError(t, await caught(() => onPolicyPairs({ ...given, judge: golden })), 'OPTION_INVALID');
  // @ts-expect-error pairs need a judge
  assertError(t, await caught(() => onPolicyPairs(given)), 'OPTION_INVALID');
});

test('labels of a dataset, by a golden judge', async (t) => {
  const examples = pairs(8);
  const golden = functionJudge({ name: 'truth', role: 'golden' }, ({ response }) =>
    Number(response.text),
  );
  const side = (tokens: Int32Array, score: number) => ({
    text: String(score),
    tokens,
    truncated: false,
  });
  const scores = [
    [2, 1],
    [1, 2],
    [1, 1],
    [NaN, 1],
    [5, 1],
    [1, 5],
    [3, 3],
    [2, NaN],
  ];
  const given = () =>
    examples.map((example, i) => ({
      example: { ...example, margin: 3 },
      request: {
        prompt: '',
        promptTokens: example.prompt,
        first: side(example.responses[0]!.tokens, scores[i]![0]!),
        second: side(example.responses[1]!.tokens, scores[i]![1]!),
      },
    }));
  const dropping = await labelPairs(given(), { judge: golden });
  t.deepEqual([dropping.ties, dropping.failed], [2, 2]);
  t.deepEqual(
    dropping.pairs.map(({ index, swapped }) => [index, swapped]),
    [
      [0, false],
      [1, true],
      [4, false],
      [5, true],
    ],
  );
  const [kept, turned] = dropping.pairs;
  t.deepEqual(kept!.example, examples[0]);
  t.deepEqual(turned!.example.responses, examples[1]!.responses.toReversed());
  t.true(kept!.preference > 0.5 && turned!.preference < 0.5);
  const first = await labelPairs(given(), { judge: golden, ties: 'first' });
  t.deepEqual(
    first.pairs.map(({ index }) => index),
    [0, 1, 2, 4, 5, 6],
  );
  t.false(first.pairs[2]!.swapped);
});
