// Samples from the policy in training as a source: groups with rewards, for policy gradients.
import * as z from 'zod';
import type { JsonObject, JsonValue } from '../checkpoint/json.js';
import { logProbsAlong } from '../engine/responses.js';
import { AlignlabError } from '../errors.js';
import type { JudgedResponse } from '../judges/judge.js';
import { refuseUnknown, requireWhole } from '../options.js';
import type { Example } from '../text/example.js';
import { type Cursor, makeCursor } from './cursor.js';
import { type Judgement, judgeCandidates } from './judging.js';
import { type OnPolicyOptions, checkOnPolicy, onPolicyOptions } from './on-policy-options.js';
import { type PolicyPrompt, promptsHash } from './prompts.js';
import type { SampleProvenance, SampledExample } from './provenance.js';
import { PolicySampler, type Sample } from './sampler.js';
import type { Source, SourceContext, UnlabelledSource } from './source.js';
import { jsonState, readState } from './state.js';

export type { OnPolicyOptions };

/** A prompt with its samples, judged where there is a judge. */
export interface Drawn {
  readonly prompt: PolicyPrompt;
  readonly draw: number;
  readonly samples: readonly Sample[];
  readonly texts: readonly string[];
  readonly references: readonly Float32Array[] | null;
  readonly judgement: Judgement | null;
}

const onPolicyState = z.strictObject({
  prompts: jsonState,
  draws: z.int().min(0),
  sampler: jsonState,
});

/** What drawing groups and drawing pairs have in common. */
export abstract class OnPolicySource<Options extends OnPolicyOptions> implements Source {
  protected readonly options: Options;
  protected readonly sampler: PolicySampler;
  readonly #prompts: Cursor<PolicyPrompt>;
  #draws = 0;
  #hash: string | null = null;
  #metrics: Readonly<Record<string, number>> = {};
  readonly size?: number;

  constructor(options: Options) {
    checkOnPolicy(options);
    this.options = options;
    this.sampler = new PolicySampler(options);
    this.#prompts = makeCursor(options.prompts, { ...options, defaultLastBatch: 'across' });
    if (this.#prompts.size !== undefined) this.size = this.#prompts.size;
  }

  abstract describe(): JsonObject;
  protected abstract convert(
    drawn: readonly Drawn[],
    context: SourceContext,
  ): { readonly examples: SampledExample[]; readonly metrics: Record<string, number> };
  protected abstract sample(
    prompts: readonly PolicyPrompt[],
    firstDraw: number,
    context: SourceContext,
  ): Promise<Sample[][]>;

  async take(count: number, context: SourceContext): Promise<readonly Example[]> {
    const before = { prompts: this.#prompts.state(), draws: this.#draws };
    try {
      return await this.#take(count, context);
    } catch (error) {
      // A take that failed took nothing: it can be repeated.
      this.#prompts.restore(before.prompts);
      this.#draws = before.draws;
      throw error;
    }
  }

  metrics(): Readonly<Record<string, number>> {
    return this.#metrics;
  }

  state(): JsonValue {
    return {
      prompts: this.#prompts.state(),
      draws: this.#draws,
      sampler: this.sampler.state(),
    };
  }

  restore(state: JsonValue): void {
    const { prompts, draws, sampler } = readState(onPolicyState, state, 'on-policy source');
    this.#prompts.restore(prompts);
    this.sampler.restore(sampler);
    this.#draws = draws;
  }

  save(folder: string): Promise<void> {
    return this.sampler.save(folder);
  }

  load(folder: string): Promise<void> {
    return this.sampler.load(folder);
  }

  async dispose(): Promise<void> {
    await this.#prompts.dispose();
    await this.sampler.dispose();
  }

  protected describeCommon(): JsonObject {
    const { prompts, judge, order = 'sequential', missingEosPenalty = 0, name } = this.options;
    return {
      prompts: {
        ...(name === undefined ? {} : { name }),
        order,
        ...this.#prompts.describe(),
        ...(typeof prompts === 'function' ? {} : { hash: (this.#hash ??= promptsHash(prompts)) }),
      },
      sampling: this.sampler.describe(),
      judge: judge ? { name: judge.name, version: judge.version } : null,
      missingEosPenalty,
    };
  }

  /** The parts of an example that say where it came from. */
  protected provenance(drawn: Drawn, order: readonly number[]) {
    const { judge } = this.options;
    const { prompt, draw, samples, texts, judgement } = drawn;
    return {
      draw,
      sampling: this.sampler.describe(),
      ...(judge ? { judge: { name: judge.name, version: judge.version } } : {}),
      ...(judgement?.verdicts ? { verdicts: judgement.verdicts } : {}),
      promptText: prompt.text,
      samples: order.map((sample): SampleProvenance => {
        const { generator, seed, processed } = samples[sample]!;
        return {
          generator,
          sample,
          seed,
          ...(processed ? { processed } : {}),
          ...(this.options.decode ? { text: texts[sample]! } : {}),
        };
      }),
    };
  }

  protected responses({ samples, references, judgement }: Drawn, order: readonly number[]) {
    return order.map((sample) => {
      const { tokens, behaviour, truncated } = samples[sample]!;
      return {
        tokens,
        behaviour,
        ...(references ? { reference: references[sample]! } : {}),
        ...(judgement ? { reward: judgement.rewards[sample]! } : {}),
        truncated,
      };
    });
  }

  async #take(count: number, context: SourceContext): Promise<readonly Example[]> {
    // Ties and failed judgements leave fewer; none at all would mean that the prompts are used up.
    const attempts = 8;
    for (let attempt = 0; attempt < attempts; ++attempt) {
      const prompts = await this.#prompts.take(count, context.signal);
      if (prompts.length === 0) return [];
      const drawn = await this.#draw(prompts, context);
      const { examples, metrics } = this.convert(drawn, context);
      this.#metrics = { ...metrics, 'sampler/age': this.sampler.age(context.step) };
      if (examples.length > 0) return examples;
    }
    throw new AlignlabError(
      'JUDGE_UNDECIDED',
      `The judge "${this.options.judge?.name ?? 'none'}" told no difference between the responses ` +
        `to ${attempts} batches of ${count} prompts: all ties or failures. Check the judge, or ` +
        "resolve ties by ties: 'random'.",
    );
  }

  async #draw(prompts: readonly PolicyPrompt[], context: SourceContext): Promise<Drawn[]> {
    const { judge, decode, reference, missingEosPenalty } = this.options;
    const signal = context.signal ? { signal: context.signal } : {};
    const firstDraw = this.#draws;
    const groups = await this.sample(prompts, firstDraw, context);
    this.#draws += prompts.length;
    const references = reference
      ? await logProbsAlong(
          reference,
          groups.map((samples, p) => ({
            prompt: prompts[p]!.tokens,
            responses: samples.map(({ tokens }) => tokens),
          })),
          signal,
        )
      : null;
    const candidates = groups.map((samples, p) => ({
      prompt: prompts[p]!,
      responses: samples.map(({ tokens, truncated }): JudgedResponse => ({
        tokens,
        truncated,
        text: decode?.(tokens, prompts[p]!.tokens) ?? '',
      })),
    }));
    const judgements = judge
      ? await judgeCandidates(judge, candidates, {
          ...signal,
          ...(missingEosPenalty === undefined ? {} : { missingEosPenalty }),
        })
      : null;
    return groups.map((samples, p) => ({
      prompt: prompts[p]!,
      draw: firstDraw + p,
      samples,
      texts: candidates[p]!.responses.map(({ text }) => text),
      references: references?.[p] ?? null,
      judgement: judgements?.[p] ?? null,
    }));
  }
}

export interface OnPolicyGroupOptions extends OnPolicyOptions {
  /** Of each prompt. Default 4. */
  readonly samples?: number;
}

/** Groups that no judge sees, and so without rewards. */
export interface UnlabelledGroupOptions extends OnPolicyGroupOptions {
  readonly judge?: never;
}

class OnPolicyGroups extends OnPolicySource<OnPolicyGroupOptions> {
  readonly #samples: number;
  readonly unlabelled: boolean;

  constructor(options: OnPolicyGroupOptions) {
    super(options);
    this.unlabelled = !options.judge;
    refuseUnknown('onPolicyGroups', options, { ...onPolicyOptions, samples: true });
    this.#samples = options.samples ?? 4;
    requireWhole('samples', this.#samples);
    if (this.#samples > 1 || options.judge?.kind !== 'pair') return;
    throw new AlignlabError(
      'OPTION_INVALID',
      'A pair judge needs two samples of a prompt to compare. Give samples: 2 or more.',
    );
  }

  describe(): JsonObject {
    const described = { source: 'on-policy', yields: 'groups', samples: this.#samples };
    return { ...described, ...this.describeCommon() };
  }

  protected sample(prompts: readonly PolicyPrompt[], firstDraw: number, context: SourceContext) {
    return this.sampler.draw(prompts, firstDraw, this.#samples, context);
  }

  protected convert(drawn: readonly Drawn[], { step }: SourceContext) {
    const examples = drawn.map((each): SampledExample => {
      const order = [...each.samples.keys()];
      return {
        kind: 'group',
        prompt: each.prompt.tokens,
        responses: this.responses(each, order),
        origin: `step ${step}, prompt ${each.prompt.origin ?? each.draw}`,
        provenance: { outcome: 'delivered', tie: false, ...this.provenance(each, order) },
      };
    });
    const rewards = drawn.flatMap(({ judgement }) => judgement?.rewards ?? []);
    const failed = rewards.filter((reward) => reward === null).length;
    const metrics = rewards.length > 0 ? { 'judge/failed': failed / rewards.length } : {};
    return { examples, metrics };
  }
}

/**
 * `samples` responses of the policy to each prompt, with the log-probabilities under which they were
 * drawn. Rewards are the judge's; a pair judge's are the mean preference over the other samples.
 * Without a judge, as HyPO's samples, there are none.
 */
export const onPolicyGroups: {
  (options: UnlabelledGroupOptions): UnlabelledSource;
  (options: OnPolicyGroupOptions): Source;
} = (options: OnPolicyGroupOptions) => new OnPolicyGroups(options) as UnlabelledSource;
