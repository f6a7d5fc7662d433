// Samples responses from the policy as it is, or from a snapshot of it that is renewed every so many
// steps. A sequence's random stream is a function of (seed, number of the prompt draw, sample).
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import type { JsonValue } from '../checkpoint/json.js';
import { derivedSeed } from '../data/random.js';
import type { SamplingOptions } from '../engine/generate.js';
import type { PolicyModel } from '../engine/policy-model.js';
import { AlignlabError, fromSystem } from '../errors.js';
import type { OptionNames } from '../options.js';
import type { PolicyPrompt } from './prompts.js';
import type { Generator } from './provenance.js';
import { biases, recordedSampling, requireUnbiased } from './sampling-bias.js';
import type { SourceContext } from './source.js';
import { readState, requireWholeOrEndless } from './state.js';

export type PolicySampling = Omit<SamplingOptions, 'samples' | 'seed' | 'signal' | 'mixture'>;

export interface SamplerOptions {
  readonly policy: PolicyModel;
  readonly sampling?: PolicySampling;
  /** Default 0. */
  readonly seed?: number | bigint;
  /**
   * Steps between renewals of the policy that is sampled from: 1, the default, is online; Infinity
   * samples from the start policy for ever.
   */
  readonly syncEvery?: number;
  /**
   * Samplers whose distribution is not the policy's own (temperature, top-k, penalties …) are
   * refused unless this is true: gradients that assume on-policy samples are biased under them.
   */
  readonly allowBiasedSampling?: boolean;
  /** Name of the policy in provenance. Default 'policy'. */
  readonly policyName?: string;
}

export const samplerOptions: OptionNames<SamplerOptions> = {
  policy: true,
  sampling: true,
  seed: true,
  syncEvery: true,
  allowBiasedSampling: true,
  policyName: true,
};

export interface Sample {
  readonly tokens: Int32Array;
  /** Under the model that drew it, at temperature 1 and without filters; or under the mixture. */
  readonly behaviour: Float32Array;
  /** Of the distribution with temperature, filters and penalties, where there are any. */
  readonly processed?: Float32Array;
  readonly truncated: boolean;
  readonly seed: string;
  readonly generator: Generator;
}

/**
 * Who gives the second answer. mixture: next-token probabilities proportional to
 * policy^(1 - weight) * reference^weight, of Nash-MD (Munos et al. 2023, 2312.00886).
 */
export type Opponent = 'policy' | 'reference' | 'mixture';

const samplerState = z.strictObject({ snapshotStep: z.int().min(0).nullable() });

const seedsOf = (
  seed: number | bigint,
  firstDraw: number,
  { prompts, samples, stream }: { prompts: number; samples: number; stream: string },
): BigUint64Array =>
  BigUint64Array.from({ length: prompts * samples }, (_, i) =>
    derivedSeed(seed, 'sampling', stream, firstDraw + Math.floor(i / samples), i % samples),
  );

export class PolicySampler {
  readonly #options: SamplerOptions;
  readonly #syncEvery: number;
  readonly #sampling: PolicySampling;
  #snapshot: PolicyModel | null = null;
  #snapshotStep: number | null = null;

  /** Throws OPTION_INVALID for biased sampling that is not allowed. */
  constructor(options: SamplerOptions) {
    this.#options = options;
    this.#syncEvery = options.syncEvery ?? 1;
    requireWholeOrEndless('syncEvery', this.#syncEvery);
    requireUnbiased(options.sampling ?? {}, options.allowBiasedSampling ?? false);
    this.#sampling = options.sampling ?? {};
  }

  /** As it is recorded: options without what is not a setting, and which tokens stop. */
  describe(): Readonly<Record<string, JsonValue>> {
    return {
      ...recordedSampling(this.#sampling, this.#options.policy.endTokens),
      seed: String(this.#options.seed ?? 0),
      syncEvery: this.#syncEvery === Infinity ? 'never' : this.#syncEvery,
      ...(this.#options.allowBiasedSampling ? { allowBiasedSampling: true } : {}),
    };
  }

  /** Steps of training since the weights that the latest samples came from. */
  age(step: number): number {
    return step - (this.#snapshotStep ?? step);
  }

  /** `samples` of each prompt. `firstDraw`: prompts that the source has drawn before. */
  async draw(
    prompts: readonly PolicyPrompt[],
    firstDraw: number,
    samples: number,
    context: SourceContext,
  ): Promise<Sample[][]> {
    const { policyName = 'policy' } = this.#options;
    const model = await this.#current(context.step);
    const generator = { id: policyName, step: this.#snapshotStep ?? context.step };
    return this.#generate(model, prompts, { generator, samples, firstDraw, context });
  }

  /** One response of an opponent to each prompt. */
  async drawOpponent(
    opponent: Exclude<Opponent, 'policy'>,
    reference: PolicyModel,
    weight: number,
    prompts: readonly PolicyPrompt[],
    { firstDraw, context }: { readonly firstDraw: number; readonly context: SourceContext },
  ): Promise<Sample[][]> {
    const step = this.#snapshotStep ?? context.step;
    const draw = { samples: 1, firstDraw, context };
    if (opponent === 'reference') {
      const generator = { id: 'reference', step: 0 };
      return this.#generate(reference, prompts, { ...draw, generator });
    }
    const model = await this.#current(context.step);
    const generator = { id: `mixture(${weight})`, step };
    const mixture = { model: reference, weight };
    return this.#generate(model, prompts, { ...draw, generator, mixture });
  }

  state(): JsonValue {
    return { snapshotStep: this.#snapshotStep };
  }

  restore(state: JsonValue): void {
    this.#snapshotStep = readState(samplerState, state, 'sampler').snapshotStep;
    void this.#snapshot?.dispose();
    this.#snapshot = null;
  }

  async save(folder: string): Promise<void> {
    if (!this.#snapshot) return;
    await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
      throw fromSystem(cause, `save to ${folder}`);
    });
    const dtype = this.#snapshot.dtype === 'f32' ? 'F32' : 'BF16';
    await this.#snapshot.save(join(folder, 'snapshot'), { dtype });
  }

  async load(folder: string): Promise<void> {
    if (this.#snapshotStep === null) return;
    await this.#snapshot?.dispose();
    this.#snapshot = await this.#options.policy.clone({ trainable: false });
    await this.#snapshot.loadWeights(join(folder, 'snapshot'));
  }

  async dispose(): Promise<void> {
    await this.#snapshot?.dispose();
    this.#snapshot = null;
  }

  /** The model to sample from at this step. */
  async #current(step: number): Promise<PolicyModel> {
    const { policy } = this.#options;
    if (this.#syncEvery === 1) return policy;
    const since = this.#syncEvery === Infinity ? 0 : step - (step % this.#syncEvery);
    if (this.#snapshotStep === null || this.#snapshotStep < since) {
      const renewed = await policy.clone({ trainable: false });
      await this.#snapshot?.dispose();
      [this.#snapshot, this.#snapshotStep] = [renewed, step];
    }
    if (this.#snapshot) return this.#snapshot;
    throw new AlignlabError(
      'RUN_INVALID',
      `The policy of step ${this.#snapshotStep} is needed to go on sampling from it. ` +
        "Call the source's load() with the folder that its save() wrote.",
    );
  }

  async #generate(
    model: PolicyModel,
    prompts: readonly PolicyPrompt[],
    draw: {
      readonly generator: Generator;
      readonly samples: number;
      readonly firstDraw: number;
      readonly context: SourceContext;
      readonly mixture?: NonNullable<SamplingOptions['mixture']>;
    },
  ): Promise<Sample[][]> {
    const { generator, samples, firstDraw, context, mixture } = draw;
    const { seed = 0, policyName = 'policy' } = this.#options;
    const stream = generator.id === policyName ? 'policy' : 'opponent';
    const seeds = seedsOf(seed, firstDraw, { prompts: prompts.length, samples, stream });
    const options: SamplingOptions = {
      stopTokens: this.#options.policy.endTokens,
      ...this.#sampling,
      samples,
      seed: seeds,
      ...(mixture ? { mixture } : {}),
      ...(context.signal ? { signal: context.signal } : {}),
    };
    const tokens = prompts.map((prompt) => prompt.tokens);
    const filtered = biases(this.#sampling).length > 0;
    const generations = await model.generate(tokens, options);
    const groups: Sample[][] = prompts.map(() => []);
    generations.forEach((generation, i) => {
      const { logProbs, processedLogProbs, finishReason } = generation;
      groups[generation.prompt]!.push({
        tokens: generation.tokens.slice(),
        behaviour: (mixture ? processedLogProbs : logProbs).slice(),
        ...(filtered && !mixture ? { processed: processedLogProbs.slice() } : {}),
        truncated: finishReason === 'length',
        seed: String(seeds[i]),
        generator,
      });
    });
    return groups;
  }
}
