// When to trust a proxy judge: pairs of a source that it labelled, each with a weight and a gap from
// discriminators that learn, along the run, to tell its labels from golden ones. What dynamics are to
// H2O (Niu et al. 2022, arXiv 2206.13464) labels are here: P(label | prompt, responses).
//
//   weight = clamp(P_golden(label) / P_proxy(label), floor, 1)      gap = max(0, -log of that ratio)
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import type { JsonObject, JsonValue } from '../checkpoint/json.js';
import type { LanguageModel } from '../engine/model.js';
import type { AdamWOptions } from '../engine/optimizer.js';
import { AlignlabError, fromSystem } from '../errors.js';
import { meanOf } from '../numbers.js';
import { type OptionNames, refuseUnknown, requireWhole } from '../options.js';
import { datasetSource } from '../sources/dataset.js';
import { provenanceOf } from '../sources/provenance.js';
import type { Source, SourceContext } from '../sources/source.js';
import { jsonState, readState } from '../sources/state.js';
import type { ComparisonEncoder } from '../text/comparison.js';
import { spoken } from '../text/dialogue.js';
import type { Example, TextRecord } from '../text/example.js';
import { defaultLogitScale } from './discriminator-loss.js';
import { Discriminators, type LabelledTexts } from './discriminators.js';

export interface TrustedOptions {
  /** Preferences whose labels are the truth; a few hundred. */
  readonly golden: readonly TextRecord[];
  /** Of the discriminators: trainable, one scalar output. Whoever passes it disposes of it. */
  readonly model: LanguageModel;
  readonly encoder: Pick<ComparisonEncoder, 'compare'>;
  /** Of the discriminators. Default: AdamW at a learning rate of 1e-3. */
  readonly optimizer?: AdamWOptions;
  /** Steps of the discriminators for each batch that is taken. Default 1. */
  readonly updates?: number;
  /** false: pairs have gaps only, for the penalty of `withTrust`. Default true. */
  readonly weigh?: boolean;
  /** Least weight, above 0 and at most 1. Default 0.05. */
  readonly floor?: number;
  /** The largest logit of a discriminator, and so the largest gap. Default 4. */
  readonly logitScale?: number;
  /** Of the order in which golden pairs are drawn. Default 0. */
  readonly seed?: number | bigint;
}

const names: OptionNames<TrustedOptions> = {
  golden: true,
  model: true,
  encoder: true,
  optimizer: true,
  updates: true,
  weigh: true,
  floor: true,
  logitScale: true,
  seed: true,
};

const defaultFloor = 0.05;

export interface Trust {
  readonly weight: number;
  readonly gap: number;
}

/** @param logRatio log P_golden(label) / P_proxy(label) */
export const trustOf = (logRatio: number, floor: number): Trust => ({
  weight: Math.min(1, Math.max(floor, Math.exp(logRatio))),
  gap: Math.max(0, -logRatio),
});

const checkOptions = (options: TrustedOptions): void => {
  refuseUnknown('trusted', options, names);
  const { golden, floor = defaultFloor, weigh = true, updates = 1 } = options;
  const refuse = (message: string): never => {
    throw new AlignlabError('OPTION_INVALID', message);
  };
  requireWhole('updates', updates);
  if (!(floor > 0 && floor <= 1)) {
    refuse(`floor must be a number above 0 and at most 1, got ${String(floor)}.`);
  }
  if (!weigh && options.floor !== undefined)
    refuse('floor has no weight to act on: weigh is false.');
  if (golden.length === 0)
    refuse('golden has no pairs. Give preferences with labels to be trusted.');
};

const goldenTexts = (record: TextRecord): LabelledTexts => {
  if (record.kind === 'preference') {
    const { prompt, chosen, rejected, origin } = record;
    return { prompt, chosen: spoken(chosen), rejected: spoken(rejected), origin };
  }
  throw new AlignlabError(
    'DATA_INVALID',
    `${record.origin} is a row of the kind "${record.kind}", and golden labels are those of pairs. ` +
      'Give rows with prompt, chosen and rejected.',
  );
};

const sampledTexts = (example: Example): LabelledTexts => {
  const { promptText, samples } = provenanceOf(example) ?? {};
  const [chosen, rejected] = samples?.map(({ text }) => text) ?? [];
  if (example.kind === 'pair' && promptText !== undefined && chosen !== undefined) {
    if (rejected !== undefined) {
      return { prompt: promptText, chosen, rejected, origin: example.origin };
    }
  }
  throw new AlignlabError(
    'DATA_INVALID',
    `${example.origin} is not a pair of samples with their texts. Trust is for the pairs that ` +
      'onPolicyPairs draws with prompts that have a text and with decode.',
  );
};

const trustedState = z.strictObject({ source: jsonState, golden: jsonState });

class TrustedSource implements Source {
  readonly #source: Source;
  readonly #options: TrustedOptions;
  readonly #discriminators: Discriminators;
  readonly #golden: Source;
  readonly #floor: number;
  readonly size?: number;
  #metrics: Readonly<Record<string, number>> = {};

  constructor(source: Source, options: TrustedOptions) {
    checkOptions(options);
    const { golden, model, encoder, logitScale = defaultLogitScale, seed = 0 } = options;
    const optimizer = options.optimizer ?? { learningRate: 1e-3 };
    this.#source = source;
    this.#options = options;
    this.#discriminators = new Discriminators({ model, encoder, logitScale, optimizer });
    this.#golden = datasetSource({
      examples: golden.map((row) => this.#discriminators.view(goldenTexts(row), true)),
      order: 'shuffled',
      seed,
      lastBatch: 'across',
    });
    this.#floor = options.floor ?? defaultFloor;
    if (source.size !== undefined) this.size = source.size;
  }

  describe(): JsonObject {
    const { weigh = true, updates = 1, logitScale = defaultLogitScale } = this.#options;
    const { noDecay, ...optimizer } = this.#options.optimizer ?? { learningRate: 1e-3 };
    return {
      ...this.#source.describe(),
      trust: {
        golden: this.#golden.describe(),
        optimizer: {
          ...(optimizer as JsonObject),
          ...(noDecay === undefined ? {} : { noDecay: String(noDecay) }),
        },
        updates,
        logitScale,
        floor: weigh ? this.#floor : null,
      },
    };
  }

  async take(count: number, context: SourceContext): Promise<readonly Example[]> {
    const examples = await this.#source.take(count, context);
    if (examples.length === 0) return [];
    const { weigh = true } = this.#options;
    const views = examples.map((each) => this.#discriminators.view(sampledTexts(each), false));
    // Before they learn from this batch: later they would know its pairs by heart.
    const ratios = await this.#discriminators.logRatios(views, context.signal);
    const trusts = ratios.map((ratio) => trustOf(ratio, this.#floor));
    const losses = await this.#learn(views, context);
    this.#metrics = {
      ...losses,
      'trust/weight': meanOf(trusts.map(({ weight }) => weight)),
      'trust/at_floor': meanOf(trusts.map(({ weight }) => Number(weight === this.#floor))),
    };
    return examples.map((example, i) => {
      const { weight, gap } = trusts[i]!;
      return { ...example, ...(weigh ? { weight } : {}), gap };
    });
  }

  metrics(): Readonly<Record<string, number>> {
    return { ...this.#source.metrics?.(), ...this.#metrics };
  }

  state(): JsonValue {
    return { source: this.#source.state(), golden: this.#golden.state() };
  }

  restore(state: JsonValue): void {
    const { source, golden } = readState(trustedState, state, 'trusted source');
    this.#source.restore(source);
    this.#golden.restore(golden);
  }

  async save(folder: string): Promise<void> {
    const own = join(folder, 'discriminators');
    await mkdir(own, { recursive: true }).catch((cause: unknown) => {
      throw fromSystem(cause, `save to ${folder}`);
    });
    const { model } = this.#discriminators;
    await model.save(join(own, 'model'), { dtype: 'F32' });
    await model.saveOptimizer(join(own, 'optimizer'));
    await this.#source.save?.(folder);
  }

  async load(folder: string): Promise<void> {
    const own = join(folder, 'discriminators');
    const { model } = this.#discriminators;
    await model.loadWeights(join(own, 'model'));
    await model.loadOptimizer(join(own, 'optimizer'));
    await this.#source.load?.(folder);
  }

  async dispose(): Promise<void> {
    await this.#golden.dispose?.();
    await this.#source.dispose?.();
  }

  async #learn(views: readonly Example[], context: SourceContext): Promise<Record<string, number>> {
    let losses: Record<string, number> = {};
    for (let update = 0; update < (this.#options.updates ?? 1); ++update) {
      const golden = await this.#golden.take(views.length, context);
      losses = await this.#discriminators.update([...golden, ...views], context.signal);
    }
    return losses;
  }
}

/**
 * The source with trust in each of its pairs, which a proxy judge has labelled. Objectives take the
 * weight by themselves; the gap is for `withTrust`. Throws OPTION_INVALID, DATA_INVALID for rows that
 * are no preferences and, when it is asked for pairs, for such as have no texts.
 */
export const trusted = (source: Source, options: TrustedOptions): Source =>
  new TrustedSource(source, options);
