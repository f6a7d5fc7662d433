// The four works, as users would write them; the same work as the peer's. See each function's line
// in the peer's description: train, score, generate, dpo.
import { type Batch, LanguageModel, joinBatches, promptWithResponses } from '../src/index.js';
import type { Task } from './measurement.js';

const learningRate = 1e-6;
const weightDecay = 0.01; // the default of the peer's AdamW
const beta = 0.1;

type Step = () => Promise<void>;

/** Uniform tokens from 3 up, by a linear congruential generator: which ones does not matter. */
function randomTokens(count: number, vocabulary: number, seed: number): Int32Array {
  let state = seed;
  return Int32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 3 + Math.floor((state / 2 ** 32) * (vocabulary - 3));
  });
}

const sequences = (task: Task, count: number, length: number, vocabulary: number) =>
  Array.from({ length: count }, (_, i) => randomTokens(length, vocabulary, i + 1));

const tokensOf = (batch: Batch): number =>
  batch.reduce((sum, { tokens }) => sum + tokens.length, 0);

/** Trees put together, as many as fit a pass; never fewer than one. */
function inPasses(trees: readonly Batch[], passTokens: number): Batch[] {
  const passes: Batch[][] = [];
  let room = 0;
  for (const tree of trees) {
    if (room < tokensOf(tree)) {
      passes.push([]);
      room = passTokens;
    }
    passes.at(-1)?.push(tree);
    room -= tokensOf(tree);
  }
  return passes.map(joinBatches);
}

/** Loads the model and returns one step of the work. */
export async function prepare(task: Task): Promise<Step> {
  const { device, exact } = task;
  const { batch, length, prompt, newTokens, kind } = task.work;
  const trainable = kind === 'train' || kind === 'dpo';
  const dtype = task.dtype === 'float32' ? 'f32' : 'bf16';
  const model = await LanguageModel.load(task.folder, { device, exact, dtype, trainable });
  const vocabulary = model.shape.vocab;
  const rows = sequences(task, batch, length, vocabulary);
  const optimizer = { learningRate, weightDecay, noDecay: 'none', maxGradNorm: 0 } as const;

  if (kind === 'score') {
    const segments = rows.map((tokens) => ({ tokens }));
    return async () => {
      await model.score(segments);
    };
  }
  if (kind === 'train') {
    const passes = inPasses(
      rows.map((tokens) => [{ tokens }]),
      task.passTokens,
    );
    const count = batch * (length - 1);
    return async () => {
      for (const segments of passes) {
        const pass = await model.forward(segments);
        const logProbs = new Float32Array(pass.logProbs.length).fill(-1 / count);
        await pass.backward({ logProbs });
      }
      await model.step(optimizer);
    };
  }
  if (kind === 'generate') {
    const prompts = rows.map((tokens) => tokens.subarray(0, prompt));
    const drawn = { temperature: 1, maxNewTokens: newTokens, stopTokens: [], seed: 1 };
    const sampling = { ...drawn, maxBatch: batch };
    return async () => {
      await model.generate(prompts, sampling);
    };
  }
  const reference = await model.clone({ trainable: false });
  const rejected = sequences(task, batch, length - prompt, vocabulary);
  const pairs = rows.map((tokens, i) =>
    promptWithResponses(tokens.subarray(0, prompt), [tokens.subarray(prompt), rejected[i]!]),
  );
  const passes = inPasses(pairs, task.passTokens);
  const completion = length - prompt;
  return async () => {
    for (const segments of passes) {
      const referenceScores = await reference.score(segments);
      const pass = await model.forward(segments);
      const ratio = (i: number): number => {
        let sum = 0;
        for (let t = i * completion; t < (i + 1) * completion; t += 1) {
          sum += pass.logProbs[t]! - referenceScores.logProbs[t]!;
        }
        return sum;
      };
      const logProbs = new Float32Array(pass.logProbs.length);
      for (let pair = 0; 2 * pair * completion < logProbs.length; pair += 1) {
        const margin = beta * (ratio(2 * pair) - ratio(2 * pair + 1));
        const push = beta / (1 + Math.exp(margin)) / batch; // beta sigmoid(-margin), Rafailov 2023 eq. 7
        const start = 2 * pair * completion;
        logProbs.fill(-push, start, start + completion);
        logProbs.fill(push, start + completion, start + 2 * completion);
      }
      await pass.backward({ logProbs });
    }
    await model.step(optimizer);
  };
}
