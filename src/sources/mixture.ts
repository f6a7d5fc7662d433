// Sources made of sources: a weighted mixture, and pairs of a dataset beside samples of the policy.
import { join } from 'node:path';
import * as z from 'zod';
import type { JsonObject, JsonValue } from '../checkpoint/json.js';
import { uniform } from '../data/random.js';
import { AlignlabError } from '../errors.js';
import { refuseUnknown, requireWhole } from '../options.js';
import type { Example } from '../text/example.js';
import type { Source, SourceContext, UnlabelledSource } from './source.js';
import { jsonState, readState, requireChoice } from './state.js';

/** As many as asked for, in several takes where one gives fewer; fewer only where it is used up. */
const takeAll = async (
  source: Source,
  count: number,
  context: SourceContext,
): Promise<Example[]> => {
  const taken: Example[] = [];
  while (taken.length < count) {
    const more = await source.take(count - taken.length, context);
    if (more.length === 0) break;
    taken.push(...more);
  }
  return taken;
};

const named = (
  parts: Readonly<Record<string, Source>>,
): Required<Pick<Source, 'save' | 'load'>> => {
  const each = async (action: 'save' | 'load', folder: string): Promise<void> => {
    for (const [name, source] of Object.entries(parts)) {
      await source[action]?.(join(folder, name));
    }
  };
  return { save: (folder) => each('save', folder), load: (folder) => each('load', folder) };
};

/** 'judge/ties' of the part 'new' becomes 'new/judge/ties'. */
const namedMetrics = (parts: Readonly<Record<string, Source>>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(parts).flatMap(([part, source]) =>
      Object.entries(source.metrics?.() ?? {}).map(([name, value]) => [`${part}/${name}`, value]),
    ),
  );

const disposeAll = async (sources: readonly Source[]): Promise<void> => {
  await Promise.all(sources.map(async (source) => source.dispose?.()));
};

export interface MixturePart {
  readonly name: string;
  readonly source: Source;
  /** The share of the examples that come from it, relative to the other parts' weights. */
  readonly weight: number;
}

export interface MixtureOptions {
  readonly parts: readonly MixturePart[];
  /** Default 0. */
  readonly seed?: number | bigint;
  /** When a part is used up: stop, or go on with the others. Default 'stop'. */
  readonly whenUsedUp?: 'stop' | 'continue';
}

const mixtureState = z.strictObject({
  draws: z.int().min(0),
  usedUp: z.array(z.boolean()),
  parts: z.array(jsonState),
});

const checkParts = (parts: readonly MixturePart[]): void => {
  const refuse = (message: string): never => {
    throw new AlignlabError('OPTION_INVALID', message);
  };
  if (parts.length === 0) refuse('A mixture needs at least one part.');
  for (const { name, weight } of parts) {
    if (!/^[\w-]+$/.test(name)) {
      refuse(`The name of a part of a mixture must be letters, digits, _ and -, got "${name}".`);
    }
    if (!(weight > 0 && weight < Infinity)) {
      refuse(`The weight of the part "${name}" must be a number above 0, got ${String(weight)}.`);
    }
  }
  if (new Set(parts.map(({ name }) => name)).size < parts.length) {
    refuse('Two parts of the mixture have the same name.');
  }
};

class MixtureSource implements Source {
  readonly #parts: readonly MixturePart[];
  readonly #byName: Readonly<Record<string, Source>>;
  readonly #seed: number | bigint;
  readonly #whenUsedUp: 'stop' | 'continue';
  #draws = 0;
  #usedUp: readonly boolean[];

  constructor(options: MixtureOptions) {
    const { parts, seed = 0, whenUsedUp = 'stop' } = options;
    refuseUnknown('mixture', options, { parts: true, seed: true, whenUsedUp: true });
    checkParts(parts);
    requireChoice('whenUsedUp', whenUsedUp, ['stop', 'continue']);
    this.#parts = parts;
    this.#byName = Object.fromEntries(parts.map(({ name, source }) => [name, source]));
    this.#seed = seed;
    this.#whenUsedUp = whenUsedUp;
    this.#usedUp = parts.map(() => false);
  }

  describe(): JsonObject {
    return {
      source: 'mixture',
      seed: String(this.#seed),
      whenUsedUp: this.#whenUsedUp,
      parts: this.#parts.map(({ name, source, weight }) => ({
        name,
        weight,
        ...source.describe(),
      })),
    };
  }

  async take(count: number, context: SourceContext): Promise<readonly Example[]> {
    const places: Example[] = [];
    while (places.length < count && this.#goesOn()) {
      const chosen = Array.from({ length: count - places.length }, () => this.#choose());
      const queues = await this.#takeEach(chosen, context);
      for (const part of chosen) {
        const example = queues[part]!.shift();
        if (example) places.push(example);
      }
    }
    return places;
  }

  metrics(): Readonly<Record<string, number>> {
    return namedMetrics(this.#byName);
  }

  state(): JsonValue {
    return {
      draws: this.#draws,
      usedUp: this.#usedUp,
      parts: this.#parts.map(({ source }) => source.state()),
    };
  }

  restore(state: JsonValue): void {
    const { draws, usedUp, parts } = readState(mixtureState, state, 'mixture');
    if (parts.length !== this.#parts.length || usedUp.length !== parts.length) {
      throw new AlignlabError(
        'RUN_INVALID',
        `The run's mixture had ${parts.length} parts, this one has ${this.#parts.length}. ` +
          'Resume with the sources that the run was started with.',
      );
    }
    this.#parts.forEach(({ source }, i) => {
      source.restore(parts[i]!);
    });
    [this.#draws, this.#usedUp] = [draws, usedUp];
  }

  save(folder: string): Promise<void> {
    return named(this.#byName).save(folder);
  }

  load(folder: string): Promise<void> {
    return named(this.#byName).load(folder);
  }

  dispose(): Promise<void> {
    return disposeAll(this.#parts.map(({ source }) => source));
  }

  #goesOn(): boolean {
    return this.#whenUsedUp === 'stop'
      ? !this.#usedUp.includes(true)
      : this.#usedUp.includes(false);
  }

  /** A part that is not used up, by weight; a function of the seed and the number of the draw. */
  #choose(): number {
    const weights = this.#parts.map(({ weight }, i) => (this.#usedUp[i] ? 0 : weight));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let left = uniform(this.#seed, 'mixture', this.#draws++) * total;
    const chosen = weights.findIndex((weight) => (left -= weight) < 0);
    // Rounding of the total may leave nothing chosen.
    return chosen >= 0 ? chosen : weights.findLastIndex((weight) => weight > 0);
  }

  async #takeEach(chosen: readonly number[], context: SourceContext): Promise<Example[][]> {
    const queues: Example[][] = [];
    for (const [i, { source }] of this.#parts.entries()) {
      const count = chosen.filter((part) => part === i).length;
      const taken = count === 0 ? [] : await takeAll(source, count, context);
      if (taken.length < count) this.#usedUp = this.#usedUp.map((was, j) => was || i === j);
      queues.push(taken);
    }
    return queues;
  }
}

/** Each example comes from a part that is drawn by weight. */
export const mixture = (options: MixtureOptions): Source => new MixtureSource(options);

export interface HybridOptions {
  /** Of a dataset. */
  readonly pairs: Source;
  /** Groups of unlabelled samples of the policy: onPolicyGroups without a judge. */
  readonly samples: UnlabelledSource;
  /** Prompts sampled for each pair. Default 1. */
  readonly groupsPerPair?: number;
}

const hybridState = z.strictObject({ pairs: jsonState, samples: jsonState });

/** For programs without types. */
const requireUnlabelled = (samples: Partial<UnlabelledSource>): void => {
  if (samples.unlabelled === true) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    'The samples of a hybrid source are unlabelled, and these may carry labels. Give ' +
      'onPolicyGroups({ … }) without a judge.',
  );
};

/**
 * HyPO's data (Song et al. 2024, 2406.01462, algorithm 1): a take of `count` gives `count` pairs and,
 * after them, groups of samples. The pairs are the same as without the samples.
 */
export const hybrid = (options: HybridOptions): Source => {
  const { pairs, samples, groupsPerPair = 1 } = options;
  refuseUnknown('hybrid', options, { pairs: true, samples: true, groupsPerPair: true });
  requireWhole('groupsPerPair', groupsPerPair);
  requireUnlabelled(samples);
  const parts = { pairs, samples };
  return {
    describe: () => ({
      source: 'hybrid',
      groupsPerPair,
      pairs: pairs.describe(),
      samples: samples.describe(),
    }),
    take: async (count, context) => {
      const offline = await pairs.take(count, context);
      const groups = await takeAll(samples, groupsPerPair * offline.length, context);
      // Pairs alone would silently be DPO.
      return groups.length < groupsPerPair * offline.length ? [] : [...offline, ...groups];
    },
    metrics: () => namedMetrics(parts),
    state: () => ({ pairs: pairs.state(), samples: samples.state() }),
    restore: (state) => {
      const saved = readState(hybridState, state, 'hybrid source');
      pairs.restore(saved.pairs);
      samples.restore(saved.samples);
    },
    ...named(parts),
    dispose: () => disposeAll([pairs, samples]),
  };
};
