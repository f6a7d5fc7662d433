// Weights and gaps of pairs, where golden and proxy labels differ in a known region.
import test from 'ava';
import { meanOf } from '../../src/numbers.js';
import type { Row } from '../../src/objectives/objective.js';
import type { Example } from '../../src/text/example.js';
import { boundedLogit, discriminatorLoss } from '../../src/trust/discriminator-loss.js';
import { type TrustedOptions, trustOf, trusted } from '../../src/trust/trusted.js';
import { assertError, caught, temporaryFolder } from '../checkpoint/helpers.js';
import { weightBytes } from '../helpers/models.js';
import { gradientAt, places } from '../objectives/helpers.js';
import { assertClose } from '../objectives/variants.js';
import { discriminatorModel, encoder, golden, proxySource } from './helpers.js';

const optimizer = { learningRate: 1e-2 };

const inRegion = (examples: readonly Example[], region: string): Example[] =>
  examples.filter(({ origin }) => origin.startsWith(region));

test('a weight is the ratio between the floor and 1, a gap what it lacks in nats', (t) => {
  t.deepEqual(trustOf(0, 0.1), { weight: 1, gap: 0 });
  t.deepEqual(trustOf(2, 0.1), { weight: 1, gap: 0 });
  t.deepEqual(trustOf(-1, 0.1), { weight: Math.exp(-1), gap: 1 });
  t.deepEqual(trustOf(-4, 0.1), { weight: 0.1, gap: 4 });
});

test('the loss of the discriminators: chance, bounds, derivative', (t) => {
  const objective = discriminatorLoss.make({ logitScale: 3 });
  const rowOf = (label: boolean, scores: readonly [number, number]): Row => ({
    kind: 'group',
    label,
    sequences: scores.map((score) => ({ logProbs: new Float32Array(0), score })),
  });
  const totals = { pairs: 0, completions: 0, groups: 2, samples: 4, chosenTokens: 0 };
  const all = {
    ...totals,
    rejectedTokens: 0,
    completionTokens: 0,
    sampleTokens: 0,
    promptTokens: 0,
  };
  const chance = objective.evaluate([rowOf(true, [0, 0]), rowOf(false, [0, 0])], all);
  t.true(Math.abs(chance.loss - 2 * Math.LN2) < 1e-12);
  t.true(boundedLogit(1e6, 3) <= 3 && Math.abs(boundedLogit(0.01, 3) - 0.01) < 1e-6);
  const rows = [rowOf(true, [0.7, -1.2]), rowOf(false, [2, 0.4])];
  const evaluation = objective.evaluate(rows, all);
  // Central differences at 1e-5 in double: good to about 1e-9.
  for (const place of places(rows)) {
    const step = 1e-5;
    const at = (by: number): number =>
      objective.evaluate(
        rows.map((row, r) => ({
          ...row,
          sequences: row.sequences.map((sequence, s) =>
            r === place.row && s === place.sequence
              ? { ...sequence, score: sequence.score! + by }
              : sequence,
          ),
        })),
        all,
      ).loss;
    const expected = (at(step) - at(-step)) / (2 * step);
    assertClose(t, [gradientAt(evaluation, place)], [expected], 1e-7);
  }
});

test('labels are trusted where the proxy agrees with the truth, and not where it differs', async (t) => {
  const model = await discriminatorModel(t);
  const source = trusted(proxySource(), { golden, model, encoder, optimizer, floor: 0.01 });
  let batch: readonly Example[] = [];
  for (let step = 0; step < 150; ++step) batch = await source.take(16, { step });
  const [agree, differ] = [inRegion(batch, 'agree'), inRegion(batch, 'differ')];
  t.is(agree.length, 8);
  t.is(differ.length, 8);
  const metrics = source.metrics!();
  // Both regions have the same responses, which tell nothing without their label.
  t.true(Math.abs(metrics['discriminator/blind_loss']! - Math.LN2) < 0.05);
  t.true(metrics['discriminator/joint_loss']! < 0.5);
  t.true(meanOf(agree.map(({ weight }) => weight!)) > 0.8);
  t.true(Math.max(...differ.map(({ weight }) => weight!)) < 0.2);
  t.true(Math.min(...differ.map(({ gap }) => gap!)) > Math.max(...agree.map(({ gap }) => gap!)));
});

test('gaps without weights, where only the penalty is wanted', async (t) => {
  const model = await discriminatorModel(t);
  const source = trusted(proxySource(), { golden, model, encoder, weigh: false });
  const [example] = await source.take(2, { step: 0 });
  t.false('weight' in example!);
  t.true(example!.gap! >= 0);
  t.is((source.describe().trust as { floor: unknown }).floor, null);
});

test('it goes on bit for bit from where it was saved', async (t) => {
  const folder = await temporaryFolder(t);
  const of = async () => {
    const model = await discriminatorModel(t);
    return { model, source: trusted(proxySource(), { golden, model, encoder, optimizer }) };
  };
  const one = await of();
  for (let step = 0; step < 3; ++step) await one.source.take(6, { step });
  const state = JSON.parse(JSON.stringify(one.source.state())) as ReturnType<
    typeof one.source.state
  >;
  await one.source.save!(folder);
  const expected = [await one.source.take(6, { step: 3 }), await one.source.take(6, { step: 4 })];
  const other = await of();
  other.source.restore(state);
  await other.source.load!(folder);
  t.deepEqual(
    [await other.source.take(6, { step: 3 }), await other.source.take(6, { step: 4 })],
    expected,
  );
  t.deepEqual(await weightBytes(other.model), await weightBytes(one.model));
});

test('what cannot work is refused', async (t) => {
  const model = await discriminatorModel(t);
  const refused = (changes: Partial<TrustedOptions>, part: RegExp): void => {
    const work = () => trusted(proxySource(), { golden, model, encoder, ...changes });
    assertError(t, t.throws(work), 'OPTION_INVALID', part);
  };
  refused({ floor: 0 }, /floor must be/);
  refused({ floor: 1.5 }, /floor must be/);
  refused({ floor: 0.1, weigh: false }, /weigh is false/);
  refused({ updates: 0 }, /updates/);
  refused({ logitScale: -1 }, /logitScale/);
  refused({ golden: [] }, /golden has no pairs/);
  refused({ optimiser: {} } as Partial<TrustedOptions>, /optimiser/);
  const same = {
    compare: (...asked: Parameters<typeof encoder.compare>) => {
      const compared = encoder.compare(...asked);
      return { ...compared, head: Int32Array.of(compared.orders[0].at(-1)!) };
    },
  };
  refused({ encoder: same }, /same token/);
  await using frozen = await model.clone({ trainable: false });
  refused({ model: frozen }, /frozen/);
  const prompts = [
    { kind: 'prompt', prompt: 'agree 1', columns: {}, origin: 'prompts:1' },
  ] as const;
  assertError(
    t,
    t.throws(() => trusted(proxySource(), { golden: prompts, model, encoder })),
    'DATA_INVALID',
    /prompts:1 is a row of the kind "prompt"/,
  );
  const bare = {
    ...proxySource(),
    take: () =>
      Promise.resolve([{ kind: 'group', prompt: Int32Array.of(1), responses: [], origin: 'g' }]),
  };
  const source = trusted(bare as ReturnType<typeof proxySource>, { golden, model, encoder });
  const error = await caught(() => source.take(1, { step: 0 }));
  assertError(t, error, 'DATA_INVALID', /g is not a pair of samples/);
});
