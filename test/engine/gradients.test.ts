// backward() against finite differences through the whole model, and what it promises besides.
import { join } from 'node:path';
import test from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import {
  assertError,
  caught,
  randomNumbers,
  smallConfig,
  temporaryFolder,
} from '../checkpoint/helpers.js';
import { assertTensorsBitEqual, dot, norm, worstTensor } from '../helpers/arrays.js';
import { randomFloats, randomForest, resultsOf } from '../helpers/forests.js';
import { type Tensors, golden, gradientsOf, load, odd, owned } from '../helpers/models.js';
import { type Objective, gradientsFor, withDerivative } from '../helpers/perturbed.js';
import { rewardModel } from '../helpers/reference-files.js';

const objectiveOf = (seed: number, vocab: number, scalarOutputs = 0): Objective => {
  const batch = randomForest(seed, { segments: 5, vocab, maxPosition: 128 });
  const count = batch.reduce((sum, segment) => sum + resultsOf(segment), 0);
  const scored = batch.filter((segment) => segment.scored ?? true).length;
  const random = randomNumbers(seed);
  const logProbs = randomFloats(random, count);
  const entropies = randomFloats(random, count);
  const scalars = randomFloats(random, scored * scalarOutputs);
  return {
    batch,
    options: scalarOutputs > 0 ? { entropy: true, scalarAt: 'last' } : { entropy: true },
    coefficients: { logProbs, entropies, ...(scalarOutputs > 0 ? { scalars } : {}) },
  };
};

/** Towards the gradient and a random direction in equal parts, in one tensor. */
const directionIn = (name: string, gradient: Float32Array): Tensors => {
  const noise = randomFloats(randomNumbers(name.length), gradient.length);
  const [g, n] = [norm(gradient), norm(noise)];
  return new Map([[name, gradient.map((x, i) => x / g + noise[i]! / n)]]);
};

const scalarFolders = async (folder: string): Promise<string[]> => {
  const fresh = join(folder, 'fresh');
  await using model = await LanguageModel.load(golden('gpt2'), { scalarHead: 3 });
  await model.save(fresh);
  return [fresh, rewardModel];
};

const finiteDifferences = async (
  t: Parameters<typeof load>[0],
  folder: string,
  objective: Objective,
): Promise<void> => {
  const model = await load(t, folder, { dtype: 'f32' });
  const gradients = await gradientsFor(model, objective);
  const whole = Math.hypot(...[...gradients.values()].map(norm));
  await withDerivative(folder, objective, async (derivative) => {
    for (const [name, gradient] of gradients) {
      const size = norm(gradient);
      // Rows that no token reads, biases of keys (softmax ignores them): nothing to measure.
      if (size < 1e-4 * whole) continue;
      const direction = directionIn(name, gradient);
      const expected = dot(gradient, direction.get(name)!);
      // The step moves the objective by about 0.1, where its f32 rounding is near 1e-5: the
      // difference is good to a few times 1e-4, and the fourth-order truncation is below that.
      const measured = await derivative(direction, 0.1 / size);
      const error = Math.abs(measured / expected - 1);
      t.true(error < 3e-3, `${name}: ${measured} by differences, ${expected} by backward()`);
    }
  });
};

for (const family of ['llama3-rope', 'qwen3', 'gpt2', 'gpt_neox', 'gpt_neox-sequential']) {
  test(`${family}: gradients of log-probs and entropies are finite differences`, (t) =>
    finiteDifferences(t, golden(family), objectiveOf(7, 320)));
}

for (const family of ['llama', 'qwen2', 'gpt2', 'gpt_neox']) {
  test(`an odd ${family}: gradients are finite differences`, async (t) => {
    const folder = join(await temporaryFolder(t), 'odd');
    await (await odd(t, family)).save(folder);
    await finiteDifferences(t, folder, objectiveOf(7, 17));
  });
}

test('gradients of scalar heads are finite differences', async (t) => {
  const [fresh = '', reward = ''] = await scalarFolders(await temporaryFolder(t));
  await finiteDifferences(t, fresh, objectiveOf(8, 320, 3));
  await finiteDifferences(t, reward, objectiveOf(9, 68, 1));
});

for (const dtype of ['f32', 'bf16'] as const) {
  test(`${dtype}: recomputation changes no bit`, async (t) => {
    for (const family of ['llama', 'gpt_neox', 'gpt2', 'qwen3']) {
      const model = await load(t, golden(family), { dtype });
      const objective = objectiveOf(12, 320);
      const kept = await gradientsFor(model, objective);
      const options = { ...objective.options, recompute: true };
      assertTensorsBitEqual(t, await gradientsFor(model, { ...objective, options }), kept);
    }
  });
}

test('two backward passes accumulate', async (t) => {
  const model = await load(t, golden('llama-tied'));
  const objectives = [objectiveOf(20, 320), objectiveOf(21, 320)] as const;
  const alone = [
    await gradientsFor(model, objectives[0]),
    await gradientsFor(model, objectives[1]),
  ] as const;
  for (const { batch, options, coefficients } of objectives) {
    const pass = await model.forward(batch, options);
    await pass.backward(coefficients);
  }
  const both = await gradientsOf(model);
  const sum = new Map(
    [...alone[0]].map(([k, a]) => [k, a.map((x, i) => x + alone[1].get(k)![i]!)]),
  );
  // f32 additions in another order.
  t.true(worstTensor(both, sum).error < 1e-5);
  const square = [...both.values()].reduce((total, x) => total + norm(x) ** 2, 0);
  t.true(Math.abs((await model.gradNorm()) / Math.sqrt(square) - 1) < 1e-6);
});

test('coefficients that are left out are zeros', async (t) => {
  const model = await load(t, golden('qwen2'));
  const objective = objectiveOf(22, 320);
  const { logProbs = new Float32Array(), entropies = new Float32Array() } = objective.coefficients;
  const zeros = new Float32Array(logProbs.length);
  const run = (coefficients: object) => gradientsFor(model, { ...objective, coefficients });
  assertTensorsBitEqual(t, await run({ logProbs }), await run({ logProbs, entropies: zeros }));
  assertTensorsBitEqual(t, await run({ entropies }), await run({ logProbs: zeros, entropies }));
  for (const gradient of (await run({})).values()) t.true(gradient.every((x) => x === 0));
});

test('bf16 gradients are near f32 ones', async (t) => {
  for (const family of ['llama', 'gpt2', 'gpt_neox']) {
    const objective = objectiveOf(23, 320);
    const [f32, bf16] = [
      await gradientsFor(await load(t, golden(family), { dtype: 'f32' }), objective),
      await gradientsFor(await load(t, golden(family), { dtype: 'bf16' }), objective),
    ];
    // bf16 has 8 bits: a relative error of 2^-9 a value, which random signs over the roundings of
    // two blocks and back raise a few times. A wrong term gives errors near 1.
    const { error, name } = worstTensor(bf16, f32);
    t.true(error < 0.05 && error > 1e-4, `${family} ${name}: ${error}`);
  }
});

test('a pass serves one backward, before the next step', async (t) => {
  const model = await load(t, golden('llama'));
  const { batch, options, coefficients } = objectiveOf(24, 320);
  const pass = await model.forward(batch, options);
  await pass.backward(coefficients);
  assertError(t, await caught(() => pass.backward(coefficients)), 'DISPOSED', 'forward()');
  const late = await model.forward(batch, options);
  await model.step({ learningRate: 1e-3 });
  assertError(t, await caught(() => late.backward(coefficients)), 'OPTION_INVALID', 'step()');
  const disposed = await model.forward(batch, options);
  disposed.dispose();
  disposed.dispose();
  assertError(t, await caught(() => disposed.backward(coefficients)), 'DISPOSED');
});

test('bad coefficients are refused and leave the gradients alone', async (t) => {
  const model = await load(t, golden('llama'));
  const { batch, options, coefficients } = objectiveOf(25, 320);
  const first = await model.forward(batch, options);
  await first.backward(coefficients);
  const before = await gradientsOf(model);
  const pass = await model.forward(batch, options);
  const { length } = pass.logProbs;
  const bad = (index: number, value: number): Float32Array =>
    new Float32Array(length).fill(1).with(index, value);
  const attempt = (d: object) => caught(() => pass.backward(d));
  assertError(t, await attempt({ logProbs: new Float32Array(length - 1) }), 'BATCH_INVALID');
  assertError(t, await attempt({ entropies: new Float32Array(length + 1) }), 'BATCH_INVALID');
  assertError(t, await attempt({ scalars: new Float32Array(1) }), 'BATCH_INVALID');
  assertError(t, await attempt({ logProbs: bad(3, NaN) }), 'NON_FINITE', 'log-prob');
  assertError(t, await attempt({ entropies: bad(0, -Infinity) }), 'NON_FINITE', 'entropy');
  assertTensorsBitEqual(t, await gradientsOf(model), before);
  await pass.backward(coefficients);
});

test('entropies that were not asked for cannot be differentiated', async (t) => {
  const model = await load(t, golden('llama'));
  const { batch, coefficients } = objectiveOf(26, 320);
  const pass = await model.forward(batch);
  t.is(pass.entropies.length, 0);
  assertError(t, await caught(() => pass.backward(coefficients)), 'BATCH_INVALID', 'entropy');
});

test('a frozen model has no gradients', async (t) => {
  const model = await load(t, golden('llama'), { trainable: false });
  const batch = [{ tokens: [1, 2, 3] }];
  assertError(t, await caught(() => model.forward(batch)), 'OPTION_INVALID', 'trainable: true');
  assertError(t, await caught(() => model.step({ learningRate: 1 })), 'OPTION_INVALID');
  assertError(t, await caught(() => model.saveGradients('/nowhere/x')), 'OPTION_INVALID');
  t.is((await model.score(batch)).logProbs.length, 2);
});

test('scalars need a scalar head', async (t) => {
  const model = owned(t, await LanguageModel.create(smallConfig('llama')));
  const error = await caught(() => model.score([{ tokens: [1, 2] }], { scalarAt: 'last' }));
  assertError(t, error, 'OPTION_INVALID', 'scalarHead');
});
