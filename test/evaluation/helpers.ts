// Tiny models, prompts and judges for the tests of evaluation.
import type { ExecutionContext } from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import type { EvaluationPrompt } from '../../src/evaluation/samples.js';
import type { JudgedResponse, PairJudge, RewardJudge, Verdict } from '../../src/judges/judge.js';
import { randomNumbers, smallConfig } from '../checkpoint/helpers.js';
import { owned } from '../helpers/models.js';

export const vocabulary = 17;

/** Next-token distributions far from uniform; vocabulary 17. */
export const tinyModel = async (t: ExecutionContext, seed: number): Promise<LanguageModel> => {
  const positions = { max_position_embeddings: 64 };
  const config = { ...smallConfig('llama'), ...positions, initializer_range: 0.4 };
  return owned(t, await LanguageModel.create(config, { seed }));
};

/** Tokens as their numbers. */
export const encoder = { decode: (tokens: Int32Array): string => tokens.join(' ') };

export const somePrompts = (count: number, seed = 3): EvaluationPrompt[] => {
  const random = randomNumbers(seed);
  return Array.from({ length: count }, (_, i) => ({
    tokens: Int32Array.from({ length: 1 + (i % 4) }, () => Math.floor(random() * vocabulary)),
    text: `prompt ${i}`,
    columns: { index: i },
  }));
};

export const response = (text: string, length = 2): JudgedResponse => ({
  text,
  tokens: new Int32Array(length),
  truncated: false,
});

const identity = { role: 'golden', name: 'test', version: '1' } as const;

/** Prefers by what it reads; one order only. */
export const pairJudge = (
  prefer: (first: string, second: string, index: number) => number | null,
  orders = false,
): PairJudge<'golden'> => ({
  ...identity,
  kind: 'pair',
  compare: (requests) =>
    Promise.resolve(
      requests.map(({ first, second, columns }): Verdict => {
        const index = Number(columns?.index);
        const preference = prefer(first.text, second.text, index);
        const other = prefer(second.text, first.text, index);
        if (!orders || preference === null || other === null) return { preference };
        return { preference: (preference + 1 - other) / 2, orders: [preference, other] };
      }),
    ),
});

export const rewardJudge = (
  reward: (tokens: Int32Array, text: string) => number | null,
): RewardJudge<'golden'> => ({
  ...identity,
  kind: 'reward',
  score: (requests) => Promise.resolve(requests.map(({ response: r }) => reward(r.tokens, r.text))),
});

/** log p(token | context), over the vocabulary. */
export const nextLogProbs = async (
  model: LanguageModel,
  context: readonly number[],
): Promise<number[]> => {
  const children = Array.from({ length: vocabulary }, (_, token) => ({
    tokens: [token],
    parent: 0,
  }));
  const { logProbs } = await model.score([{ tokens: context, scored: false }, ...children]);
  return [...logProbs];
};
