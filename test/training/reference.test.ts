// The reference stays what it was, and what is kept of it belongs to the content it was said of.
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { LanguageModel } from '../../src/engine/model.js';
import { objectiveEntry } from '../../src/objectives/index.js';
import { datasetSource } from '../../src/sources/dataset.js';
import type { Example } from '../../src/text/example.js';
import { adamW } from '../../src/training/optimizer.js';
import type { TrainOptions } from '../../src/training/options.js';
import { cachedReference, hashFolder, hashModel } from '../../src/training/reference.js';
import { assertError, caught, temporaryFolder } from '../checkpoint/helpers.js';
import { assertBitEqual } from '../helpers/arrays.js';
import { owned, weightBytes } from '../helpers/models.js';
import { runOf, someCompletions, somePairs, timeless, tiny } from './helpers.js';

const scoring = { maxTokens: 1000 };

const base = (policy: LanguageModel, examples: readonly Example[]): TrainOptions => ({
  policy,
  source: datasetSource({ examples, order: 'shuffled', seed: 7 }),
  objective: objectiveEntry('dpo').make(),
  optimizer: adamW({ learningRate: 1e-2 }),
  steps: 8,
  batchSize: 3,
});

test('training moves the policy and not a bit of the reference', async (t) => {
  const policy = await tiny(t);
  const reference = owned(t, await policy.clone({ trainable: false }));
  const [before, start] = [await hashModel(reference), await hashModel(policy)];
  await runOf({ ...base(policy, somePairs(8)), reference });
  t.is(await hashModel(reference), before);
  t.not(await hashModel(policy), start);
  t.false(reference.disposed);
});

test('the default reference is the policy as it was passed', async (t) => {
  const [one, two] = [await tiny(t), await tiny(t)];
  const reference = owned(t, await two.clone({ trainable: false }));
  const own = await runOf(base(one, somePairs(8)));
  const given = await runOf({ ...base(two, somePairs(8)), reference });
  t.deepEqual(timeless(own), timeless(given));
  t.deepEqual(await weightBytes(one), await weightBytes(two));
});

test('kept log-probabilities train as those computed anew, in any order of the data', async (t) => {
  const file = join(await temporaryFolder(t), 'kept', 'reference.jsonl');
  for (const name of ['dpo', 'kto']) {
    const examples = name === 'kto' ? someCompletions(8) : somePairs(8);
    const objective = objectiveEntry(name).make();
    const [anew, kept] = [await tiny(t), await tiny(t)];
    const model = owned(t, await kept.clone({ trainable: false }));
    const reference = await cachedReference({ model, file });
    // In file order first: the run below takes them shuffled.
    await reference.logProbs(examples, scoring);
    const responses = examples.reduce((sum, example) => sum + example.responses.length, 0);
    t.is(reference.counts.misses, responses);
    const steps = await runOf({ ...base(kept, examples), objective, reference });
    t.deepEqual(timeless(steps), timeless(await runOf({ ...base(anew, examples), objective })));
    t.deepEqual(await weightBytes(kept), await weightBytes(anew));
    if (name === 'dpo') t.is(reference.counts.misses, responses);
  }
});

test('the file is read back; a torn line costs itself, and other content is a miss', async (t) => {
  const file = join(await temporaryFolder(t), 'reference.jsonl');
  const model = owned(t, await (await tiny(t)).clone({ trainable: false }));
  const examples = somePairs(4);
  const first = await cachedReference({ model, file });
  const scored = await first.logProbs(examples, scoring);
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.slice(0, -20));
  const weights = await hashModel(model);
  const alone = await cachedReference({ weights, file });
  const read = await alone.logProbs(examples.slice(0, 3), scoring);
  read.flat().forEach((values, i) => {
    assertBitEqual(t, values, scored.flat()[i]!, `response ${i}`);
  });
  assertError(t, await caught(() => alone.logProbs(examples, scoring)), 'RUN_INVALID', 'pairs:4');

  const changed = examples[0]!.prompt.slice();
  changed[0] = (changed[0]! + 1) % 17;
  const [chosen, rejected] = examples[0]!.responses;
  const longest = chosen!.tokens.length > 1 ? chosen! : rejected!;
  const others: readonly Example[] = [
    { ...examples[0]!, prompt: changed },
    { ...examples[0]!, prompt: Int32Array.of(...examples[0]!.prompt, 3) },
    { ...examples[0]!, responses: [{ tokens: longest.tokens.subarray(1) }] },
  ];
  for (const other of others) {
    assertError(t, await caught(() => alone.logProbs([other], scoring)), 'RUN_INVALID');
  }
  const another = await cachedReference({ weights: `${weights}0`, file });
  const [example] = examples;
  assertError(t, await caught(() => another.logProbs([example!], scoring)), 'RUN_INVALID');

  const coarse = await cachedReference({ weights, dtype: 'bf16', file });
  assertError(t, await caught(() => coarse.logProbs([example!], scoring)), 'RUN_INVALID');
  const error = await caught(() => cachedReference({ model, dtype: 'bf16' }));
  assertError(t, error, 'OPTION_INVALID', 'computes in f32');

  await appendFile(file, '{"key": 7}\nnonsense\n');
  const again = await cachedReference({ model, file });
  await again.logProbs(examples, scoring);
  t.deepEqual(again.counts, { hits: 6, misses: 2 });
  t.is((await cachedReference({ model, file })).describe().weights, weights);
});

test('a prompt and a response are not taken for another division of the same tokens', async (t) => {
  const model = owned(t, await (await tiny(t)).clone({ trainable: false }));
  const reference = await cachedReference({ model });
  const example = (prompt: number[], tokens: number[]): Example => ({
    kind: 'completion',
    prompt: Int32Array.from(prompt),
    responses: [{ tokens: Int32Array.from(tokens) }],
    origin: 'test',
  });
  const [one] = await reference.logProbs([example([1, 2], [3, 4])], scoring);
  const [two] = await reference.logProbs([example([1], [2, 3, 4])], scoring);
  t.deepEqual([one![0]!.length, two![0]!.length], [2, 3]);
  assertBitEqual(t, two![0]!.subarray(1), one![0]!, 'the shared tokens');
});

test("a folder's hash is of its weights, not of its path", async (t) => {
  const folder = await temporaryFolder(t);
  const model = await tiny(t);
  await model.save(join(folder, 'a'));
  await model.save(join(folder, 'b'));
  t.is(await hashFolder(join(folder, 'a')), await hashFolder(join(folder, 'b')));
  t.is(await hashFolder(join(folder, 'a')), await hashModel(model));
  assertError(t, await caught(() => hashFolder(join(folder, 'c'))), 'IO_FAILED');
  assertError(t, await caught(() => cachedReference({})), 'OPTION_INVALID', 'hashFolder');
});
