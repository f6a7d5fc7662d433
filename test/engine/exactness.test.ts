// The promise that training rests on: sampling, scoring and the training forward give the same
// bits for the same tokens, in any company, order and number of threads.
import test from 'ava';
import { promptWithResponses } from '../../src/engine/batch.js';
import { engineInfo, setThreads } from '../../src/engine/device.js';
import type { Generation, SamplingOptions } from '../../src/engine/generate.js';
import { LanguageModel } from '../../src/engine/model.js';
import { randomNumbers } from '../checkpoint/helpers.js';
import { assertBitEqual } from '../helpers/arrays.js';
import { randomFloats, randomForest, randomTokens, resultsOf } from '../helpers/forests.js';
import { medium } from '../helpers/medium.js';
import { golden, load, odd, owned, weightBytes } from '../helpers/models.js';
import { runProgram } from '../helpers/programs.js';
import { haveShared } from '../helpers/reference-files.js';

const dtypes = ['f32', 'bf16'] as const;
const families = ['llama-tied', 'qwen3', 'gpt2', 'gpt_neox'];

/** On both sides of the 64-token pages of keys and values. */
const prompts = [1, 5, 62, 63, 64, 65, 90].map((length) =>
  randomTokens(randomNumbers(length), length, 320),
);

const same = (generation: Generation): unknown[] => [
  generation.prompt,
  generation.sample,
  generation.finishReason,
  [...generation.tokens],
  Buffer.from(generation.logProbs.slice().buffer).toString('hex'),
  Buffer.from(generation.processedLogProbs.slice().buffer).toString('hex'),
];

const settings: readonly SamplingOptions[] = [
  { samples: 1, temperature: 1, maxBatch: 64, maxNewTokens: 30 },
  { samples: 3, temperature: 0.7, topK: 40, maxBatch: 3 },
  { samples: 5, temperature: 1.3, topP: 0.9, maxBatch: 1 },
  { samples: 2, temperature: 0, repetitionPenalty: 1.2, maxBatch: 4 },
];

/** Samples, then scores and differentiates the same tokens. */
const assertAgreement = async (
  t: Parameters<typeof load>[0],
  model: LanguageModel,
  texts: readonly Int32Array[],
): Promise<void> => {
  for (const options of settings) {
    const generations = await model.generate(texts, {
      maxNewTokens: 12,
      ...options,
      stopTokens: [7, 8, 9],
      seed: 3,
    });
    for (const [index, prompt] of texts.entries()) {
      const own = generations.filter((generation) => generation.prompt === index);
      t.is(own.length, options.samples ?? 1);
      const responses = own.map(({ tokens }) => tokens);
      const batch = promptWithResponses(prompt, responses);
      const scores = await model.score(batch);
      using pass = await model.forward(batch);
      assertBitEqual(t, pass.logProbs, scores.logProbs, 'forward and score');
      own.forEach(({ logProbs }, i) => {
        assertBitEqual(t, logProbs, scores.logProbsOf(i + 1), `prompt ${index} sample ${i}`);
      });
    }
  }
};

for (const dtype of dtypes) {
  for (const family of families) {
    test(`${family} ${dtype}: sampler, scorer and training forward agree in every bit`, async (t) => {
      await assertAgreement(t, await load(t, golden(family), { dtype }), prompts);
    });
  }
  for (const family of ['llama', 'gpt2', 'gpt_neox']) {
    test(`an odd ${family} ${dtype}: they agree as well`, async (t) => {
      const texts = prompts.map((prompt) => prompt.map((token) => token % 17));
      await assertAgreement(t, await odd(t, family, { dtype }), texts);
    });
  }
}

for (const dtype of dtypes) {
  test.serial(`${dtype}: batch size, company and threads change no bit of a sample`, async (t) => {
    const model = await load(t, golden('llama'), { dtype, trainable: false });
    t.teardown(() => setThreads(engineInfo().hardwareThreads));
    const options = { samples: 3, maxNewTokens: 24, stopTokens: [3, 4], topK: 100, seed: 11 };
    const expected = (await model.generate(prompts, options)).map(same);
    for (const maxBatch of [1, 2, 3, 7, 64]) {
      t.deepEqual((await model.generate(prompts, { ...options, maxBatch })).map(same), expected);
    }
    for (const threads of [1, 2, 3]) {
      await setThreads(threads);
      t.is(engineInfo().threads, threads);
      t.deepEqual(
        (await model.generate(prompts, options)).map(same),
        expected,
        `${threads} threads`,
      );
    }
    // Alone, each with the seed and stream that it had in company: streams count from 0, so only
    // the first prompt's samples keep theirs.
    const alone = (await model.generate(prompts.slice(0, 1), options)).map(same);
    t.deepEqual(alone, expected.slice(0, 3));
  });
}

/** Three steps on random forests. */
const trained = async (model: LanguageModel, seed: number): Promise<Buffer> => {
  for (let step = 0; step < 3; ++step) {
    const forest = randomForest(seed + step, { segments: 8 });
    const count = forest.reduce((sum, segment) => sum + resultsOf(segment), 0);
    const pass = await model.forward(forest, { entropy: true });
    await pass.backward({
      logProbs: randomFloats(randomNumbers(step), count),
      entropies: randomFloats(randomNumbers(step + 9), count),
    });
    await model.step({ learningRate: 1e-3, weightDecay: 0.1 });
  }
  return weightBytes(model);
};

for (const dtype of dtypes) {
  test.serial(
    `${dtype}: training from one seed gives the same weights, byte for byte`,
    async (t) => {
      t.teardown(() => setThreads(engineInfo().hardwareThreads));
      for (const family of ['llama-tied', 'gpt2', 'gpt_neox']) {
        const run = async (seed: number) => trained(await load(t, golden(family), { dtype }), seed);
        const expected = await run(40);
        for (const threads of [1, 2, 3]) {
          await setThreads(threads);
          t.true(expected.equals(await run(40)), `${family}, ${threads} threads`);
        }
        t.false(expected.equals(await run(50)), 'other data must give other weights');
      }
    },
  );
}

test.serial('fresh weights do not depend on the number of threads', async (t) => {
  t.teardown(() => setThreads(engineInfo().hardwareThreads));
  const create = async () =>
    weightBytes(owned(t, await LanguageModel.create({ ...medium, num_hidden_layers: 1 })));
  const expected = await create();
  for (const threads of [1, 2, 3]) {
    await setThreads(threads);
    t.true(expected.equals(await create()), `${threads} threads`);
  }
});

test('one seed gives one sample, another seed another', async (t) => {
  const model = await load(t, golden('mistral'), { trainable: false });
  const run = async (seed: number | bigint) =>
    (await model.generate(prompts, { seed, maxNewTokens: 20 })).map(same);
  const expected = await run(5);
  t.deepEqual(await run(5), expected);
  t.deepEqual(await run(5n), expected);
  for (const other of [0, 6, -5, 2n ** 32n + 5n]) t.notDeepEqual(await run(other), expected);
});

const referenceSerial = haveShared ? test.serial : test.serial.skip;

for (const { name, supported } of engineInfo().instructionSets) {
  if (!supported) continue;
  referenceSerial(`instruction set ${name} agrees with the references`, async (t) => {
    const folders = ['qwen3', 'gpt2', 'gpt_neox'].map(golden);
    const { code, stdout, stderr } = await runProgram('verify.ts', folders, { ALIGNLAB_ISA: name });
    t.is(code, 0, stderr);
    const result = JSON.parse(stdout) as { instructionSet: string; compared: number };
    t.like(result, { instructionSet: name, failures: [] });
    t.true(result.compared > 3 * 20);
  });
}

for (const [variable, value, code, message] of [
  ['ALIGNLAB_ISA', 'mmx', 'ISA_UNSUPPORTED', /'mmx'.*portable/],
  ['ALIGNLAB_THREADS', 'many', 'OPTION_INVALID', /ALIGNLAB_THREADS.*'many'/],
] as const) {
  referenceSerial(`${variable}=${value} is refused by name`, async (t) => {
    const outcome = await runProgram('verify.ts', [golden('llama')], { [variable]: value });
    t.is(outcome.code, 0, outcome.stderr);
    const error = JSON.parse(outcome.stdout) as { code: string; message: string };
    t.is(error.code, code);
    t.regex(error.message, message);
  });
}
