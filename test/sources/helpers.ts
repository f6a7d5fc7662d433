// Examples, prompts and judges for the tests of sources.
import type { ExecutionContext } from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import type { CompareRequest, PairJudge, RewardJudge } from '../../src/judges/judge.js';
import { functionJudge, functionPairJudge } from '../../src/judges/function-judge.js';
import type { PolicyPrompt } from '../../src/sources/prompts.js';
import { type SampledExample, provenanceOf } from '../../src/sources/provenance.js';
import type { Source } from '../../src/sources/source.js';
import type { Example } from '../../src/text/example.js';
import { smallConfig } from '../checkpoint/helpers.js';
import { owned } from '../helpers/models.js';

export const pairs = (count: number, name = 'row'): Example[] =>
  Array.from({ length: count }, (_, i) => ({
    kind: 'pair',
    prompt: Int32Array.of(1, i),
    responses: [{ tokens: Int32Array.of(3, i) }, { tokens: Int32Array.of(4, i, 2) }],
    origin: `${name}:${i}`,
  }));

export const origins = (examples: readonly Example[]): string[] =>
  examples.map(({ origin }) => origin);

export const prompts: readonly PolicyPrompt[] = Array.from({ length: 7 }, (_, i) => ({
  tokens: Int32Array.from({ length: 1 + i }, (__, k) => (5 * i + 3 * k) % 17),
  text: `prompt ${i}`,
  columns: { number: i },
  origin: `prompts:${i}`,
}));

/** 17 tokens; 2 ends a text. */
export const tinyPolicy = async (
  t: ExecutionContext,
  { seed = 1, spread = 0.3, trainable = true } = {},
): Promise<LanguageModel> => {
  const config = {
    ...smallConfig('llama'),
    max_position_embeddings: 64,
    initializer_range: spread,
  };
  return owned(t, await LanguageModel.create(config, { seed, trainable }));
};

export const decode = (tokens: Int32Array): string => [...tokens].join(' ');

export const sampling = { maxNewTokens: 6, stopTokens: [2] };

/** Rewards the sum of the ids: nearly never equal for two samples. */
export const sumJudge: RewardJudge<'proxy'> = functionJudge({ name: 'sum' }, ({ response }) =>
  response.tokens.reduce((sum, id) => sum + id, 0),
);

export const pairStub = (
  answer: (request: CompareRequest) => number | null,
  bothOrders = false,
): PairJudge<'proxy'> => functionPairJudge({ name: 'stub', version: '7', bothOrders }, answer);

/** Takes until nothing comes, or so many batches. */
export const drain = async (
  source: Source,
  count: number,
  most = 1000,
  firstStep = 0,
): Promise<Example[][]> => {
  const batches: Example[][] = [];
  for (let step = firstStep; step < firstStep + most; ++step) {
    const batch = await source.take(count, { step });
    if (batch.length === 0) break;
    batches.push([...batch]);
  }
  return batches;
};

export const provenance = (example: Example): SampledExample['provenance'] => {
  const found = provenanceOf(example);
  if (!found) throw new Error(`${example.origin} has no provenance`);
  return found;
};

/** State as a checkpoint keeps it. */
export const throughJson = (source: Source): ReturnType<Source['state']> =>
  JSON.parse(JSON.stringify(source.state())) as ReturnType<Source['state']>;

/** One step that changes the policy a lot. */
export const perturb = async (policy: LanguageModel): Promise<void> => {
  using pass = await policy.forward([{ tokens: [1, 5, 7, 9, 11] }]);
  await pass.backward({ logProbs: pass.logProbs.map(() => -1) });
  await policy.step({ learningRate: 0.05 });
};
