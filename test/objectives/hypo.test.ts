// HyPO: lambda 0 is the offline loss to the bit; the KL's gradient is right in expectation, which
// is computed over every response of an enumerable policy; no label reaches the online samples.
import test, { type ExecutionContext } from 'ava';
import { AlignlabError, type ErrorCode } from '../../src/errors.js';
import { hypo, klWeights, scoreGradient } from '../../src/objectives/hypo.js';
import { objectiveEntry } from '../../src/objectives/index.js';
import { klEstimators } from '../../src/objectives/kl-estimators.js';
import type { Objective, Row } from '../../src/objectives/objective.js';
import { doubles, evaluateAll, randomRows, totalsOf, uniform } from './helpers.js';
import { assertNear } from './near.js';
import { group, withSequences } from './samples.js';
import {
  backward,
  klOf,
  moved,
  numericalGradient,
  probabilityOf,
  randomTabular,
  responses,
  sequenceOf,
  type Tabular,
} from './tabular.js';

const baselines = ['none', 'rloo', 'token', 'exact'] as const;

const pairs = (seed: number): Row[] => randomRows({ kind: 'pair', seed });

const unlabelled = (seed: number): Row[] =>
  randomRows({ kind: 'group', seed, rows: 2 }).map((row) =>
    withSequences(row, ({ reward: _, ...rest }) => rest),
  );

const interleaved = (a: readonly Row[], b: readonly Row[]): Row[] =>
  a.flatMap((row, i) => [row, ...b.slice(i, i + 1)]);

for (const loss of ['dpo', 'ipo', 'slic']) {
  test(`with lambda 0, or without samples, it is ${loss} to the bit`, (t) => {
    const offline = objectiveEntry(loss).make();
    const rows = pairs(1);
    const expected = evaluateAll(offline, rows);
    const check = (objective: Objective, all: readonly Row[]): void => {
      const found = objective.evaluate(all, totalsOf(all));
      const ofPairs = found.gradients.filter((_, r) => all[r]!.kind === 'pair');
      t.deepEqual(ofPairs, expected.gradients);
      t.is(found.loss, expected.loss);
      t.deepEqual(found.metrics, expected.metrics);
    };
    check(hypo.make({ loss, lambda: 0 }), rows);
    check(hypo.make({ loss, lambda: 0 }), interleaved(rows, unlabelled(2)));
    for (const baseline of baselines) check(hypo.make({ loss, lambda: 0.7, baseline }), rows);
    t.deepEqual(hypo.make({ loss, lambda: 0 }).needs, offline.needs);
  });
}

test('the options of the contrastive loss pass through, and others are refused', (t) => {
  const rows = pairs(3);
  const same = (given: object, name: string, options: object): void => {
    const [a, b] = [hypo.make({ lambda: 0, ...given }), objectiveEntry(name).make({ ...options })];
    t.deepEqual(evaluateAll(a, rows), evaluateAll(b, rows));
  };
  same({ beta: 0.3, labelSmoothing: 0.2 }, 'dpo', { beta: 0.3, labelSmoothing: 0.2 });
  same({ loss: 'ipo', reduction: 'mean' }, 'ipo', { reduction: 'mean' });
  same({ loss: 'slic', nllCoef: 0.4, delta: 2 }, 'slic', { lambda: 0.4, delta: 2 });
  for (const given of [{ delta: 2 }, { loss: 'ipo', nllCoef: 1 }, { loss: 'slic', beta: 1 }]) {
    t.throws(() => hypo.make(given), { code: 'OPTION_INVALID', message: /has no such option/ });
  }
});

test('the KL term is added to the gradients of the offline loss, and to nothing of the pairs', (t) => {
  const rows = interleaved(pairs(4), unlabelled(5));
  const offline = evaluateAll(objectiveEntry('dpo').make(), pairs(4));
  for (const baseline of baselines) {
    const found = evaluateAll(hypo.make({ lambda: 0.5, baseline }), rows);
    t.deepEqual(
      found.gradients.filter((_, r) => rows[r]!.kind === 'pair'),
      offline.gradients,
    );
    const { sum, weight } = found.metrics['objective/kl']!;
    assertNear(t, [found.loss], [offline.loss + (0.5 * sum) / weight], 1e-12);
    t.is(weight, 8);
  }
});

test('lambda multiplies the mean over samples of the sum over tokens', (t) => {
  const sample = (ratios: number[]): Row['sequences'][number] => ({
    logProbs: doubles(ratios.map(() => -1)),
    reference: doubles(ratios.map((ratio) => -1 - ratio)),
  });
  const rows = [group(sample([0.1, 0.2]), sample([0.4])), group(sample([0, 0, 1]), sample([0.5]))];
  const slopes = (baseline: string): number[][] =>
    evaluateAll(hypo.make({ lambda: 2, baseline }), rows)
      .gradients.flat()
      .map(({ logProbs }) => [...logProbs!]);
  const { loss } = evaluateAll(hypo.make({ lambda: 2 }), rows);
  assertNear(t, [loss], [(2 * (0.3 + 0.4 + 1 + 0.5)) / 4], 1e-12);
  // float32; 2 / 4 times the weights.
  assertNear(t, slopes('none').flat(), [0.15, 0.15, 0.2, 0.5, 0.5, 0.5, 0.25], 1e-7);
  assertNear(t, slopes('rloo').flat(), [-0.05, -0.05, 0.05, 0.25, 0.25, 0.25, -0.25], 1e-7);
  assertNear(t, slopes('token').flat(), [0.15, 0.1, 0.2, 0.5, 0.5, 0.5, 0.25], 1e-7);
});

/** One estimate of the gradient of KL by the logits, from the responses of one group. */
const estimate = (
  objective: Objective,
  policy: Tabular,
  reference: Tabular,
  drawn: readonly (readonly number[])[],
): Float64Array => {
  const row = group(...drawn.map((tokens) => sequenceOf(policy, reference, tokens)));
  const { gradients } = evaluateAll(objective, [row]);
  const parts = drawn.map((tokens, i) => backward(policy, tokens, gradients[0]![i]!.logProbs!));
  return parts[0]!.map((_, j) => parts.reduce((sum, part) => sum + part[j]!, 0));
};

interface Moments {
  readonly mean: Float64Array;
  /** Trace of the covariance. */
  readonly variance: number;
}

/** Over all groups of two responses, each with its probability: exact, nothing is drawn. */
const momentsOf = (objective: Objective, policy: Tabular, reference: Tabular): Moments => {
  const all = responses(policy);
  const mean = new Float64Array(policy.logits.size * policy.vocab);
  let square = 0;
  for (const first of all) {
    for (const second of all) {
      const p = probabilityOf(policy, first) * probabilityOf(policy, second);
      estimate(objective, policy, reference, [first, second]).forEach((value, i) => {
        mean[i]! += p * value;
        square += p * value ** 2;
      });
    }
  }
  return { mean, variance: square - mean.reduce((sum, value) => sum + value ** 2, 0) };
};

const norm = (x: Float64Array): number => Math.sqrt(x.reduce((sum, value) => sum + value ** 2, 0));

const shapes = [
  { name: 'one token, five responses', vocab: 5, depth: 1 },
  { name: 'a tree of up to three tokens', vocab: 3, depth: 3 },
];

/** A reference, and a policy away from it by so much in its logits. */
const policies = (
  shape: { vocab: number; depth: number },
  distance: number,
): [Tabular, Tabular] => {
  const reference = randomTabular(11, { ...shape, spread: 1 });
  const offset = randomTabular(12, { ...shape, spread: distance });
  const keys = (key: string, token: number): number => offset.logits.get(key)![token]!;
  return [moved(reference, keys), reference];
};

const estimator = (baseline: string): Objective => hypo.make({ lambda: 1, baseline });

test('the expected gradient is that of the exact KL, whatever the baseline', (t) => {
  for (const { name, ...shape } of shapes) {
    for (const distance of [0.3, 3]) {
      const [policy, reference] = policies(shape, distance);
      const exact = numericalGradient(policy, (one) => klOf(one, reference));
      const table = baselines.map((baseline) => {
        const { mean, variance } = momentsOf(estimator(baseline), policy, reference);
        // Gradients are float32, the difference quotient is good to 1e-9.
        assertNear(t, mean, exact, 1e-6 * Math.max(0.1, norm(exact)));
        return `${baseline} ${(variance / norm(exact) ** 2).toFixed(2)}`;
      });
      t.log(`${name}, KL ${klOf(policy, reference).toFixed(3)}:`);
      t.log(`  variance / |gradient|^2 of two samples: ${table.join(', ')}`);
    }
  }
});

test('variance: rewards to go and the exact KL help on a tree', (t) => {
  for (const distance of [0.3, 3]) {
    const [policy, reference] = policies({ vocab: 3, depth: 3 }, distance);
    const variance = (baseline: string): number =>
      momentsOf(estimator(baseline), policy, reference).variance;
    t.true(variance('exact') < variance('token'));
    t.true(variance('token') < variance('none'));
  }
});

test('variance: leave-one-out costs near the reference and pays far from it', (t) => {
  const variance = (baseline: string, policy: Tabular, reference: Tabular): number =>
    momentsOf(estimator(baseline), policy, reference).variance;
  const near = policies({ vocab: 5, depth: 1 }, 0.3);
  t.true(variance('rloo', ...near) > variance('none', ...near));
  const table = (logits: number[]): Tabular => ({
    vocab: 5,
    depth: 1,
    logits: new Map([['', logits]]),
  });
  // Every response is about e^8 times likelier than under the reference: KL 8, little spread.
  const far = [table([0.3, -0.2, 0.1, 0, -6]), table([0, 0, 0, 0, 9])] as const;
  t.true(klOf(...far) > 7);
  t.true(variance('rloo', ...far) < variance('none', ...far) / 10);
});

/** Token after token, from uniform numbers. */
const draw = (policy: Tabular, next: () => number): number[] => {
  const all = responses(policy);
  let rest = next();
  for (const tokens of all) {
    rest -= probabilityOf(policy, tokens);
    if (rest < 0) return tokens;
  }
  return all.at(-1)!;
};

const meanAndError = (values: readonly number[]): [number, number] => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const square = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (values.length - 1);
  return [mean, Math.sqrt(square / values.length)];
};

test('sampled groups of four agree with the exact gradient within three standard errors', (t) => {
  const [policy, reference] = policies({ vocab: 3, depth: 3 }, 2);
  const exact = numericalGradient(policy, (one) => klOf(one, reference));
  const length = norm(exact);
  for (const baseline of baselines) {
    const next = uniform(21);
    const objective = estimator(baseline);
    const along = Array.from({ length: 1500 }, () => {
      const drawn = Array.from({ length: 4 }, () => draw(policy, next));
      const gradient = estimate(objective, policy, reference, drawn);
      return gradient.reduce((sum, value, i) => sum + (value * exact[i]!) / length, 0);
    });
    const [mean, error] = meanAndError(along);
    t.true(Math.abs(mean - length) < 3 * error, `${baseline}: ${mean} for ${length} ± ${error}`);
    // And it could tell from a gradient of zero.
    t.true(length > 6 * error, baseline);
  }
});

/** Expected gradient of a KL estimate that is differentiated at its samples. */
const asLoss = (name: 'k1' | 'k2' | 'k3', policy: Tabular, reference: Tabular): Float64Array => {
  const mean = new Float64Array(policy.logits.size * policy.vocab);
  for (const tokens of responses(policy)) {
    const { logProbs, reference: logs } = sequenceOf(policy, reference, tokens);
    const ratio = logProbs.reduce((sum, log, i) => sum + log - logs![i]!, 0);
    const { slope } = klEstimators[name](ratio);
    backward(
      policy,
      tokens,
      tokens.map(() => slope),
    ).forEach((value, i) => {
      mean[i]! += probabilityOf(policy, tokens) * value;
    });
  }
  return mean;
};

test('to differentiate sampled log-ratios trains nothing; what k2 and k3 train instead', (t) => {
  const [policy, reference] = policies({ vocab: 3, depth: 3 }, 1);
  const reverse = numericalGradient(policy, (one) => klOf(one, reference));
  const forward = numericalGradient(policy, (one) => klOf(reference, one));
  const zero = reverse.map(() => 0);
  assertNear(t, asLoss('k1', policy, reference), zero, 1e-12);
  // Central differences are good to about 1e-9.
  assertNear(t, asLoss('k2', policy, reference), reverse, 1e-8);
  assertNear(t, asLoss('k3', policy, reference), forward, 1e-8);
  t.true(norm(reverse) > 0.1);
});

test('estimates of the KL: k1 and k3 are unbiased, k2 is near it', (t) => {
  const [policy, reference] = policies({ vocab: 5, depth: 1 }, 0.5);
  const expected = (name: 'k1' | 'k2' | 'k3'): number =>
    responses(policy).reduce((sum, tokens) => {
      const { logProbs, reference: logs } = sequenceOf(policy, reference, tokens);
      const { value } = klEstimators[name](logProbs[0]! - logs![0]!);
      return sum + probabilityOf(policy, tokens) * value;
    }, 0);
  const kl = klOf(policy, reference);
  assertNear(t, [expected('k1'), expected('k3')], [kl, kl], 1e-12);
  const bias = Math.abs(expected('k2') - kl);
  t.true(bias > 1e-6 && bias < 0.3 * kl);
});

const refused = (
  t: ExecutionContext,
  rows: readonly Row[],
  code: ErrorCode,
  text: RegExp,
): void => {
  for (const lambda of [0, 0.1]) {
    const error = t.throws(() => evaluateAll(hypo.make({ lambda, baseline: 'token' }), rows), {
      instanceOf: AlignlabError,
    });
    t.is(error.code, code);
    t.regex(error.message, text);
  }
};

test('samples with a reward are refused, even one that could not be given', (t) => {
  const [row] = unlabelled(6);
  for (const reward of [1, 0, null]) {
    const labelled = withSequences(row!, (one, s) => (s === 2 ? { ...one, reward } : one));
    refused(t, [...pairs(7), labelled], 'RUN_INVALID', /unlabelled/);
  }
});

test('samples of an older policy show in the metrics', (t) => {
  const age = (change: number): number => {
    const rows = unlabelled(10).map((row) =>
      withSequences(row, (one) => ({ ...one, behaviour: one.logProbs.map((x) => x + change) })),
    );
    const { sum, weight } = evaluateAll(hypo.make(), rows).metrics[
      'sampling/sampling_logp_difference/mean'
    ]!;
    return sum / weight;
  };
  t.is(age(0), 0);
  assertNear(t, [age(-0.25)], [0.25], 1e-12);
});

test('rloo needs two samples of a prompt', (t) => {
  const [row] = unlabelled(8);
  const alone = { ...row!, sequences: row!.sequences.slice(0, 1) };
  t.throws(() => evaluateAll(hypo.make(), [alone]), {
    code: 'DATA_INVALID',
    message: /two samples/,
  });
  t.notThrows(() => evaluateAll(hypo.make({ baseline: 'token' }), [alone]));
});

test('it asks for what the KL needs, and no more', (t) => {
  t.deepEqual(hypo.make({ loss: 'slic', lambda: 0 }).needs, {});
  t.deepEqual(hypo.make({ loss: 'slic' }).needs, { reference: true });
  t.deepEqual(hypo.make({ baseline: 'exact' }).needs, { reference: true, exactKl: true });
});

test('while the policy is the reference the loss is the offline one, and the KL has no gradient', (t) => {
  t.is(hypo.make().lossAtStart!(), Math.LN2);
  t.false('lossAtStart' in hypo.make({ loss: 'slic' }));
  const same = unlabelled(9).map((row) =>
    withSequences(row, (one) => ({
      ...one,
      reference: one.logProbs,
      exactKl: one.logProbs.map(() => 0),
    })),
  );
  for (const baseline of baselines) {
    const { loss, gradients } = evaluateAll(hypo.make({ lambda: 1, baseline }), same);
    t.is(loss, 0);
    t.true(gradients.flat().every(({ logProbs }) => logProbs!.every((value) => value === 0)));
  }
});

test('derivatives of an estimate of the KL are no weights: to take them for such does not compile', (t) => {
  const [row] = unlabelled(11);
  const [weights] = klWeights.none(row!.sequences);
  const ratio = [...row!.sequences[0]!.logProbs].reduce(
    (sum, log, i) => sum + log - row!.sequences[0]!.reference![i]!,
    0,
  );
  assertNear(
    t,
    scoreGradient(weights!, 0.5).logProbs!,
    [...weights!].map(() => ratio / 2),
    1e-6,
  );
  const slopes = Float64Array.from(weights!, () => klEstimators.k1(ratio).slope);
  // @ts-expect-error the slope of the sampled mean, whose expectation is no gradient at all
  const wrong = scoreGradient(slopes, 1);
  t.true(wrong.logProbs!.every((weight) => weight === 1));
});
