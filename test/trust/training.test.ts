// Weights and gaps through the training loop: counted in denominators, kept in logs, bitwise harmless.
import test, { type ExecutionContext } from 'ava';
import { objectiveEntry } from '../../src/objectives/index.js';
import type { Objective } from '../../src/objectives/objective.js';
import { withTrust } from '../../src/objectives/trust.js';
import { datasetPairs, examplesHash } from '../../src/sources/dataset.js';
import { decodeRecord, encodeRecord } from '../../src/sources/experience-record.js';
import type { Example } from '../../src/text/example.js';
import { adamW } from '../../src/training/optimizer.js';
import type { TrainOptions } from '../../src/training/options.js';
import { weightBytes } from '../helpers/models.js';
import { runOf, somePairs, tiny } from '../training/helpers.js';

// As in train.test.ts: AdamW's step is then proportional to the gradient.
const linear = adamW({ learningRate: 100, epsilon: 100, maxGradNorm: 0 });

const trained = async (
  t: ExecutionContext,
  objective: Objective,
  examples: readonly Example[],
  settings: Partial<TrainOptions> = {},
) => {
  const policy = await tiny(t);
  const steps = await runOf({
    policy,
    source: datasetPairs({ examples }),
    objective,
    optimizer: linear,
    schedule: { type: 'constant' },
    steps: 2,
    batchSize: examples.length,
    ...settings,
  });
  return { policy, losses: steps.map(({ loss }) => loss) };
};

const pairs = somePairs(6);
const objectives = [
  ['ipo', {}],
  ['bo2', {}], // divides by tokens
  ['orpo', {}],
  ['aot', {}], // compares all pairs with each other
] as const;

for (const [name, options] of objectives) {
  test(`weights of 1 are the plain run, bit for bit: ${name}`, async (t) => {
    const objective = objectiveEntry(name).make(options);
    const plain = await trained(t, objective, pairs);
    const ones = pairs.map((pair) => ({ ...pair, weight: 1 }));
    const weighted = await trained(t, objective, ones);
    t.deepEqual(weighted.losses, plain.losses);
    t.deepEqual(await weightBytes(weighted.policy), await weightBytes(plain.policy));
    const half = pairs.map((pair, i) => ({ ...pair, weight: i < 3 ? 1 : 0.2 }));
    t.notDeepEqual((await trained(t, objective, half)).losses[1], plain.losses[1]);
  });

  test(`a pair of weight 2 trains as the pair twice, in any passes: ${name}`, async (t) => {
    const objective = objectiveEntry(name).make(options);
    const heavy = pairs.map((pair, i) => ({ ...pair, weight: i === 2 ? 2 : 1 }));
    const twice = await trained(t, objective, [...pairs, pairs[2]!]);
    for (const maxTokensPerPass of [4096, 30]) {
      const weighted = await trained(t, objective, heavy, { maxTokensPerPass });
      for (const [i, loss] of weighted.losses.entries()) {
        // Sums are f32, and the second loss follows the first step.
        t.true(Math.abs(loss - twice.losses[i]!) < 1e-4 * Math.abs(twice.losses[i]!));
      }
    }
  });
}

test('the penalty trains, and does not care how a batch is cut', async (t) => {
  const objective = withTrust(objectiveEntry('ipo').make(), { lambda: 2 });
  const gapped = pairs.map((pair, i) => ({ ...pair, gap: i / 2, weight: 1 / (1 + i) }));
  const whole = await trained(t, objective, gapped);
  const cut = await trained(t, objective, gapped, { maxTokensPerPass: 30 });
  const close = whole.losses.every((loss, i) => Math.abs(loss - cut.losses[i]!) < 1e-4 * loss);
  t.true(close); // f32 sums
  const plain = await trained(t, objectiveEntry('ipo').make(), gapped);
  t.is(plain.losses[0], whole.losses[0], 'at the start the penalty is 0');
  t.not(plain.losses[1], whole.losses[1]);
});

test('logs and hashes of data keep weights and gaps', (t) => {
  const example: Example = { ...pairs[0]!, weight: 0.123456789012345, gap: 2.5 };
  const line = encodeRecord(example, { step: 1, batch: 0, place: 0 });
  t.deepEqual(decodeRecord(line).example, example);
  t.not(examplesHash([example]), examplesHash([pairs[0]!]));
  t.not(examplesHash([example]), examplesHash([{ ...example, weight: 1 }]));
});
