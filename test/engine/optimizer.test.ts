// AdamW against its definition in double precision, and resuming bit for bit.
import { copyFile, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { LanguageModel } from '../../src/engine/model.js';
import type { AdamWOptions } from '../../src/engine/optimizer.js';
import { assertError, caught, randomNumbers, temporaryFolder } from '../checkpoint/helpers.js';
import { assertTensorsBitEqual, norm } from '../helpers/arrays.js';
import { randomFloats, randomForest, resultsOf } from '../helpers/forests.js';
import {
  type Tensors,
  golden,
  gradientsOf,
  load,
  weightBytes,
  weightsOf,
} from '../helpers/models.js';

/** Accumulates a gradient that depends on the seed alone. */
const accumulate = async (model: LanguageModel, seed: number): Promise<void> => {
  const forest = randomForest(seed, { segments: 6 });
  const count = forest.reduce((sum, segment) => sum + resultsOf(segment), 0);
  const pass = await model.forward(forest);
  await pass.backward({ logProbs: randomFloats(randomNumbers(seed), count) });
};

type Doubles = Map<string, Float64Array>;
const doubles = (tensors: Tensors): Doubles =>
  new Map([...tensors].map(([name, values]) => [name, Float64Array.from(values)]));

/** Loshchilov & Hutter 2019 with torch's order: decay, then the moments, then the update. */
class PlainAdamW {
  readonly #first: Doubles;
  readonly #second: Doubles;
  #step = 0;

  constructor(readonly weights: Doubles) {
    const zeros = (): Doubles =>
      new Map([...weights].map(([name, { length }]) => [name, new Float64Array(length)]));
    [this.#first, this.#second] = [zeros(), zeros()];
  }

  step(
    gradients: Tensors,
    {
      learningRate,
      betas = [0.9, 0.999],
      epsilon = 1e-8,
      weightDecay = 0,
      maxGradNorm = 1,
    }: AdamWOptions,
    decays: (name: string) => boolean,
  ): void {
    this.#step += 1;
    const total = Math.hypot(...[...gradients.values()].map(norm));
    const scale = maxGradNorm > 0 ? Math.min(1, maxGradNorm / (total + 1e-6)) : 1;
    const [c1, c2] = [1 - betas[0] ** this.#step, 1 - betas[1] ** this.#step];
    for (const [name, w] of this.weights) {
      const [m, v] = [this.#first.get(name)!, this.#second.get(name)!];
      gradients.get(name)!.forEach((value, i) => {
        const g = value * scale;
        m[i] = betas[0] * m[i]! + (1 - betas[0]) * g;
        v[i] = betas[1] * v[i]! + (1 - betas[1]) * g * g;
        if (decays(name)) w[i]! *= 1 - learningRate * weightDecay;
        w[i]! -= (learningRate * (m[i] / c1)) / (Math.sqrt(v[i] / c2) + epsilon);
      });
    }
  }
}

const compareSteps = async (
  t: Parameters<typeof load>[0],
  family: string,
  options: AdamWOptions,
  decays: (name: string) => boolean,
): Promise<void> => {
  const model = await load(t, golden(family), { dtype: 'f32' });
  const plain = new PlainAdamW(doubles(await weightsOf(model)));
  const steps = 5;
  for (let step = 1; step <= steps; ++step) {
    await accumulate(model, step);
    const gradients = await gradientsOf(model);
    plain.step(gradients, options, decays);
    const { gradNorm } = await model.step(options);
    const total = Math.hypot(...[...gradients.values()].map(norm));
    t.true(Math.abs(gradNorm / total - 1) < 1e-6, 'the norm before clipping');
    t.is(model.steps, step);
    t.is(await model.gradNorm(), 0, 'a step clears the gradients');
  }
  for (const [name, values] of await weightsOf(model)) {
    const expected = plain.weights.get(name)!;
    const at = values.findIndex((value, i) => {
      // Per step two roundings of the weight (2^-23 of it), and an update, about the learning
      // rate, of which f32 moments and their quotient leave 1e-5 uncertain.
      const allowed = steps * (Math.abs(expected[i]!) * 1.2e-7 + options.learningRate * 1e-5);
      return !(Math.abs(value - expected[i]!) <= allowed);
    });
    t.is(at, -1, `${name}[${at}] is ${values[at]}, expected ${expected[at]}`);
  }
};

const isVector = (name: string): boolean => /norm|ln_|\.bias$/.test(name);

test('defaults', (t) => compareSteps(t, 'llama', { learningRate: 1e-2 }, () => false));

test('weight decay spares biases and norms', (t) =>
  compareSteps(
    t,
    'gpt2',
    { learningRate: 1e-2, weightDecay: 0.5, betas: [0.8, 0.95], epsilon: 1e-6, maxGradNorm: 0 },
    (name) => !isVector(name),
  ));

test('weight decay of everything', (t) =>
  compareSteps(
    t,
    'gpt_neox',
    { learningRate: 1e-2, weightDecay: 0.5, noDecay: 'none', maxGradNorm: 0.1 },
    () => true,
  ));

test('weight decay of what a pattern leaves', (t) =>
  compareSteps(
    t,
    'qwen3',
    { learningRate: 1e-2, weightDecay: 0.5, noDecay: /embed_tokens|layers\.0\./g },
    (name) => !/embed_tokens|layers\.0\./.test(name),
  ));

test('a pattern that splits one parameter of the engine is refused', async (t) => {
  const model = await load(t, golden('llama'));
  await accumulate(model, 1);
  const noDecay = /q_proj/;
  const error = await caught(() => model.step({ learningRate: 1e-3, noDecay }));
  assertError(t, error, 'OPTION_INVALID', 'q_proj', 'k_proj');
  t.is(model.steps, 0);
  await model.step({ learningRate: 1e-3, noDecay: /[qkv]_proj/ });
});

test('bad settings are refused by name, and nothing moves', async (t) => {
  const model = await load(t, golden('llama'));
  await accumulate(model, 1);
  const before = await weightBytes(model);
  const norm = await model.gradNorm();
  const settings: readonly (readonly [string, Partial<AdamWOptions>])[] = [
    ['learningRate', { learningRate: NaN }],
    ['learningRate', { learningRate: -1 }],
    ['betas[0]', { betas: [1, 0.9] }],
    ['betas[1]', { betas: [0.9, -0.1] }],
    ['epsilon', { epsilon: 0 }],
    ['weightDecay', { weightDecay: Infinity }],
    ['maxGradNorm', { maxGradNorm: -1 }],
    ['noDecay', { noDecay: 'all' as 'none' }],
  ];
  for (const [name, setting] of settings) {
    const error = await caught(() => model.step({ learningRate: 1e-3, ...setting }));
    assertError(t, error, 'OPTION_INVALID', name);
  }
  t.true(before.equals(await weightBytes(model)));
  t.is(await model.gradNorm(), norm);
});

test('a step without gradients is refused', async (t) => {
  const model = await load(t, golden('llama'));
  const error = await caught(() => model.step({ learningRate: 1e-3 }));
  assertError(t, error, 'OPTION_INVALID', 'backward()');
  t.is(await model.gradNorm(), 0);
});

test('zeroGradients forgets what was accumulated', async (t) => {
  const model = await load(t, golden('llama'));
  await accumulate(model, 1);
  const once = await gradientsOf(model);
  t.true((await model.gradNorm()) > 0);
  await model.zeroGradients();
  t.is(await model.gradNorm(), 0);
  await accumulate(model, 1);
  assertTensorsBitEqual(t, await gradientsOf(model), once);
});

const options = { learningRate: 1e-2, weightDecay: 0.1 };
const train = async (model: LanguageModel, from: number, to: number): Promise<void> => {
  for (let step = from; step < to; ++step) {
    await accumulate(model, step);
    await model.step(options);
  }
};

for (const dtype of ['f32', 'bf16'] as const) {
  test(`${dtype}: a resumed run continues bit for bit`, async (t) => {
    const folder = await temporaryFolder(t);
    for (const family of ['llama-tied', 'gpt2', 'gpt_neox']) {
      const model = await load(t, golden(family), { dtype });
      await train(model, 0, 3);
      const [weights, moments] = [join(folder, family), join(folder, `${family}-optimizer`)];
      await model.save(weights);
      await model.saveOptimizer(moments);
      await train(model, 3, 6);
      const resumed = await load(t, weights, { dtype });
      await resumed.loadOptimizer(moments);
      t.is(resumed.steps, 3);
      await train(resumed, 3, 6);
      t.is(resumed.steps, 6);
      t.true((await weightBytes(model)).equals(await weightBytes(resumed)), family);
      const forgetful = await load(t, weights, { dtype });
      await train(forgetful, 3, 6);
      t.false((await weightBytes(model)).equals(await weightBytes(forgetful)));
    }
  });
}

test('optimiser state of another model, or none, is refused', async (t) => {
  const folder = await temporaryFolder(t);
  const model = await load(t, golden('llama'));
  const other = await load(t, golden('gpt2'));
  await model.saveOptimizer(folder);
  t.deepEqual((await readdir(folder)).sort(), [
    'adamw-moment1.safetensors',
    'adamw-moment2.safetensors',
  ]);
  assertError(t, await caught(() => other.loadOptimizer(folder)), 'CHECKPOINT_INVALID', 'missing');
  const nowhere = join(folder, 'nowhere');
  assertError(t, await caught(() => model.loadOptimizer(nowhere)), 'CHECKPOINT_NOT_FOUND');
  const path = join(folder, 'adamw-moment2.safetensors');
  await copyFile(path, join(folder, 'older'));
  await train(model, 0, 1);
  await model.saveOptimizer(folder);
  await copyFile(join(folder, 'older'), path);
  const mixed = await caught(() => model.loadOptimizer(folder));
  assertError(t, mixed, 'CHECKPOINT_INVALID', 'different steps');
  await writeFile(path, (await readFile(path)).subarray(0, 1000));
  assertError(t, await caught(() => model.loadOptimizer(folder)), 'CHECKPOINT_INVALID');
  t.is(model.steps, 1);
});
