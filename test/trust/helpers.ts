// A world of two regions for the tests of trust: the truth always prefers "x"; the proxy does so in the
// region "agree" and prefers "y" in the region "differ".
import type { ExecutionContext } from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import type { Source } from '../../src/sources/source.js';
import type { SampledExample } from '../../src/sources/provenance.js';
import type { ComparisonEncoder } from '../../src/text/comparison.js';
import { type Text, type TextRecord } from '../../src/text/example.js';
import { smallConfig } from '../checkpoint/helpers.js';
import { owned } from '../helpers/models.js';

export type Region = 'agree' | 'differ';

const ids: Readonly<Record<string, number>> = { agree: 2, differ: 3, x: 4, y: 5 };
const marks = { first: 6, second: 7, end: 8 };

const idsOf = (text: Text): number[] =>
  (text as string).split(' ').map((word) => ids[word] ?? 9 + (Number(word) % 8));

/** Tokens for the words of this world, 17 in all. */
export const encoder: Pick<ComparisonEncoder, 'compare'> = {
  compare: (prompt, first, second) => {
    const order = (a: Text, b: Text): Int32Array =>
      Int32Array.of(...idsOf(a), marks.second, ...idsOf(b), marks.end);
    return {
      head: Int32Array.of(...idsOf(prompt), marks.first),
      orders: [order(first, second), order(second, first)],
      truncated: false,
    };
  },
};

export const discriminatorModel = async (t: ExecutionContext, seed = 1): Promise<LanguageModel> => {
  const config = {
    ...smallConfig('llama'),
    max_position_embeddings: 32,
    architectures: ['LlamaForSequenceClassification'],
    num_labels: 1,
  };
  return owned(t, await LanguageModel.create(config, { seed, trainable: true }));
};

const regionOf = (i: number): Region => (i % 2 === 0 ? 'agree' : 'differ');

export const golden: readonly TextRecord[] = Array.from({ length: 40 }, (_, i) => ({
  kind: 'preference',
  prompt: `${regionOf(i)} ${i}`,
  chosen: 'x',
  rejected: 'y',
  origin: `golden:${i}`,
}));

/** A pair as the proxy labels it. */
export const sampled = (i: number): SampledExample => {
  const region = regionOf(i);
  const texts = region === 'agree' ? ['x', 'y'] : ['y', 'x'];
  const generator = { id: 'policy', step: 0 };
  return {
    kind: 'pair',
    prompt: Int32Array.from(idsOf(`${region} ${i}`)),
    responses: texts.map((text) => ({ tokens: Int32Array.from(idsOf(text)) })),
    origin: `${region}:${i}`,
    provenance: {
      outcome: 'delivered',
      tie: false,
      draw: i,
      sampling: {},
      promptText: `${region} ${i}`,
      samples: texts.map((text, sample) => ({ generator, sample, seed: '0', text })),
    },
  };
};

/** Pairs of both regions in turn. */
export const proxySource = (): Source => {
  let at = 0;
  return {
    describe: () => ({ source: 'on-policy' }),
    take: (count) => Promise.resolve(Array.from({ length: count }, () => sampled(at++))),
    state: () => at,
    restore: (state) => {
      at = state as number;
    },
  };
};
