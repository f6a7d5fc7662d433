// Ablations of sources: what a source yields, thinned out, mislabelled or judged again on the way.
import * as z from 'zod';
import type { JsonObject, JsonValue } from '../checkpoint/json.js';
import { derivedSeed } from '../data/random.js';
import { AlignlabError } from '../errors.js';
import { requireProxy } from '../judges/checked.js';
import type { Judge } from '../judges/judge.js';
import type { Source, SourceContext } from '../sources/source.js';
import { jsonState, readState } from '../sources/state.js';
import type { Example } from '../text/example.js';
import { checkFraction, drawn, optionError } from './lists.js';
import {
  type FlipOptions,
  type RelabelExamplesOptions,
  flippedExample,
  judgeName,
  relabelExamples,
} from './relabel.js';

export interface Transformation {
  /** For the manifest: its name and everything that decides what it does. */
  readonly description: JsonObject;
  /**
   * What becomes of the examples. A function of them and of `first`, the number of examples that
   * the source had yielded before, and of nothing else, so that a resumed run goes on exactly.
   */
  apply(
    examples: readonly Example[],
    first: number,
    context: SourceContext,
  ): Promise<readonly Example[]> | readonly Example[];
  /** Of the latest take. */
  metrics?(): Readonly<Record<string, number>>;
  /** One for each: the size of a pass stays known. Default false. */
  readonly keepsCount?: boolean;
}

const transformedState = z.strictObject({ taken: z.int().min(0), source: jsonState });

/** A take that leaves nothing is repeated: no examples at all would mean the end of the data. */
const attempts = 64;

class TransformedSource implements Source {
  readonly #source: Source;
  readonly #transformation: Transformation;
  readonly size?: number;
  #taken = 0;
  /** Of a take whose transformation failed: it can be repeated, and took nothing so far. */
  #pending: { readonly before: JsonValue; readonly examples: readonly Example[] } | null = null;

  constructor(source: Source, transformation: Transformation) {
    this.#source = source;
    this.#transformation = transformation;
    if (transformation.keepsCount && source.size !== undefined) this.size = source.size;
  }

  describe(): JsonObject {
    return { ...this.#transformation.description, of: this.#source.describe() };
  }

  async take(count: number, context: SourceContext): Promise<readonly Example[]> {
    for (let attempt = 0; attempt < attempts; ++attempt) {
      const before = this.state();
      const examples = this.#pending?.examples ?? (await this.#source.take(count, context));
      if (examples.length === 0) return [];
      this.#pending = { before, examples };
      const kept = await this.#transformation.apply(examples, this.#taken, context);
      this.#pending = null;
      this.#taken += examples.length;
      if (kept.length > 0) return kept;
    }
    throw new AlignlabError(
      'DATA_INVALID',
      `Nothing was left of ${attempts} takes of ${count} examples. Take more at once, or leave more.`,
    );
  }

  metrics(): Readonly<Record<string, number>> {
    return { ...this.#source.metrics?.(), ...this.#transformation.metrics?.() };
  }

  state(): JsonValue {
    return this.#pending?.before ?? { taken: this.#taken, source: this.#source.state() };
  }

  restore(state: JsonValue): void {
    const saved = readState(transformedState, state, 'transformed source');
    this.#source.restore(saved.source);
    this.#taken = saved.taken;
    this.#pending = null;
  }

  async save(folder: string): Promise<void> {
    await this.#source.save?.(folder);
  }

  async load(folder: string): Promise<void> {
    await this.#source.load?.(folder);
  }

  async dispose(): Promise<void> {
    await this.#source.dispose?.();
  }
}

export const transformed = (source: Source, transformation: Transformation): Source =>
  new TransformedSource(source, transformation);

/** Label noise: each label is wrong with a probability, independently of the others. */
export const flipped = (source: Source, { fraction, seed }: FlipOptions): Source => {
  checkFraction('fraction', fraction);
  return transformed(source, {
    description: { source: 'flipped', fraction, seed: String(seed) },
    keepsCount: true,
    apply: (examples, first) =>
      examples.map((example, i) =>
        drawn(fraction, seed, 'flip', first + i) ? flippedExample(example) : example,
      ),
  });
};

/** Each example stays with a probability; batches become smaller. */
export const thinned = (source: Source, { fraction, seed }: FlipOptions): Source => {
  checkFraction('fraction', fraction);
  if (fraction === 0) throw optionError('fraction 0 would leave nothing to train on.');
  return transformed(source, {
    description: { source: 'thinned', fraction, seed: String(seed) },
    apply: (examples, first) => examples.filter((_, i) => drawn(fraction, seed, 'thin', first + i)),
  });
};

/**
 * The pairs of a source, judged again before training. Trains a policy, so the judge is a proxy;
 * with a golden one, label the dataset by `relabel`.
 */
export const rejudged = (
  source: Source,
  options: Omit<RelabelExamplesOptions, 'judge' | 'signal'> & { readonly judge: Judge<'proxy'> },
): Source => {
  const { judge, ties = 'drop', seed = 0 } = options;
  requireProxy(judge);
  let metrics: Readonly<Record<string, number>> = {};
  return transformed(source, {
    description: { source: 'rejudged', judge: judgeName(judge), ties, seed: String(seed) },
    keepsCount: false,
    metrics: () => metrics,
    apply: async (examples, first, { signal }) => {
      const labels = await relabelExamples(examples, {
        ...options,
        seed: derivedSeed(seed, 'rejudged', first), // ties of each take are resolved anew
        ...(signal ? { signal } : {}),
      });
      metrics = {
        'relabel/changed': labels.pairs.filter(({ swapped }) => swapped).length / examples.length,
        'relabel/ties': labels.ties / examples.length,
        'relabel/failed': labels.failed / examples.length,
      };
      return labels.pairs.map(({ example }) => example);
    },
  });
};
