// What the demo shows besides training: the same tokens get the same bits on every way through the
// engine, and a prompt that several responses share is computed once.
import { type Batch, promptWithResponses } from '../engine/batch.js';
import { engineInfo, setThreads } from '../engine/device.js';
import type { Generation, Prompt } from '../engine/generate.js';
import { LanguageModel } from '../engine/model.js';
import type { Scores } from '../engine/scores.js';

export interface Agreement {
  readonly way: string;
  readonly equal: number;
  readonly of: number;
}

const bits = (values: Float32Array): Int32Array =>
  Int32Array.from(new Int32Array(values.slice().buffer));

const countEqual = (a: readonly Float32Array[], b: readonly Float32Array[]): number => {
  let equal = 0;
  a.forEach((values, index) => {
    const other = bits(b[index] ?? new Float32Array());
    bits(values).forEach((value, i) => (equal += Number(value === other[i])));
  });
  return equal;
};

/** Of a prompt's responses, which are segments 1, 2, … of promptWithResponses. */
const ofResponses = (scores: Scores, responses: number): Float32Array[] =>
  Array.from({ length: responses }, (_, index) => scores.logProbsOf(index + 1));

const withThreads = async <Result>(
  threads: number,
  action: () => Promise<Result>,
): Promise<Result> => {
  const before = engineInfo().threads;
  await setThreads(threads);
  try {
    return await action();
  } finally {
    await setThreads(before);
  }
};

/** Compares the sampler's log-probabilities with those of the other ways, bit by bit. */
export const compareWays = async (
  model: LanguageModel,
  prompt: Prompt,
  generations: readonly Generation[],
  savedFolder: string,
): Promise<Agreement[]> => {
  const sampled = generations.map(({ logProbs }) => logProbs);
  const responses = generations.map(({ tokens }) => tokens);
  const forest = promptWithResponses(prompt, responses);
  const of = sampled.reduce((sum, { length }) => sum + length, 0);
  const row = (way: string, found: readonly Float32Array[]): Agreement => ({
    way,
    equal: countEqual(sampled, found),
    of,
  });

  const scored = await model.score(forest);
  using pass = await model.forward(forest);
  const alone: Float32Array[] = [];
  for (const response of responses) {
    alone.push((await model.score(promptWithResponses(prompt, [response]))).logProbsOf(1));
  }
  const threads = engineInfo().threads === 1 ? 2 : 1;
  const rethreaded = await withThreads(threads, () => model.score(forest));
  await using loaded = await LanguageModel.load(savedFolder, {
    dtype: model.dtype,
    trainable: false,
  });
  const reloaded = await loaded.score(forest);
  const count = responses.length;
  return [
    row('score()', ofResponses(scored, count)),
    row('forward(), the training pass', ofResponses(pass, count)),
    row('each sample alone', alone),
    row(`with ${threads === 1 ? '1 thread' : '2 threads'}`, ofResponses(rethreaded, count)),
    row('saved and loaded', ofResponses(reloaded, count)),
  ];
};

export interface Sharing {
  readonly promptTokens: number;
  readonly responses: number;
  readonly separate: { readonly tokens: number; readonly seconds: number };
  readonly shared: { readonly tokens: number; readonly seconds: number };
  readonly agreement: Agreement;
}

const tokensOf = (batch: Batch): number =>
  batch.reduce((sum, { tokens }) => sum + tokens.length, 0);

/** The least time of a few runs: the one that other programs disturbed least. */
const timed = async (
  model: LanguageModel,
  batch: Batch,
): Promise<{ readonly seconds: number; readonly scores: Scores }> => {
  let scores = await model.score(batch);
  let seconds = Infinity;
  for (let run = 0; run < 5; run += 1) {
    const start = performance.now();
    scores = await model.score(batch);
    seconds = Math.min(seconds, (performance.now() - start) / 1000);
  }
  return { seconds, scores };
};

/** Responses scored with a copy of the prompt for each, and as a forest with one prompt. */
export const comparePromptSharing = async (
  model: LanguageModel,
  prompt: Int32Array,
  responses: readonly Int32Array[],
): Promise<Sharing> => {
  const copies = responses.flatMap((tokens, index) => [
    { tokens: prompt, scored: false },
    { tokens, parent: 2 * index },
  ]);
  const forest = promptWithResponses(prompt, responses);
  const separate = await timed(model, copies);
  const shared = await timed(model, forest);
  const ofCopies = responses.map((_, index) => separate.scores.logProbsOf(2 * index + 1));
  return {
    promptTokens: prompt.length,
    responses: responses.length,
    separate: { tokens: tokensOf(copies), seconds: separate.seconds },
    shared: { tokens: tokensOf(forest), seconds: shared.seconds },
    agreement: {
      way: 'shared and separate',
      equal: countEqual(ofCopies, ofResponses(shared.scores, responses.length)),
      of: ofCopies.reduce((sum, { length }) => sum + length, 0),
    },
  };
};
