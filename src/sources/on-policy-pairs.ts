// Preference pairs of the policy's own samples, labelled by a judge: online DPO, online IPO, and with
// another opponent XPO and Nash-MD.
import type { JsonObject } from '../checkpoint/json.js';
import { uniform } from '../data/random.js';
import { AlignlabError } from '../errors.js';
import type { Judge } from '../judges/judge.js';
import { meanOf } from '../numbers.js';
import { type OptionNames, refuseUnknown, requireWhole } from '../options.js';
import { type Ranking, pairPreference, rank } from './judging.js';
import { type Drawn, OnPolicySource } from './on-policy.js';
import { type OnPolicyOptions, onPolicyOptions } from './on-policy-options.js';
import type { PolicyPrompt } from './prompts.js';
import type { Outcome, SampledExample } from './provenance.js';
import type { Opponent } from './sampler.js';
import type { Source, SourceContext } from './source.js';
import { requireChoice } from './state.js';

/** drop: not trained on. first: the first sample is chosen, as in TRL. random: by the seed. */
export type TiePolicy = 'drop' | 'first' | 'random';

export interface OnPolicyPairOptions extends OnPolicyOptions {
  readonly judge: Judge<'proxy'>;
  /** Of each prompt; the best and the worst become the pair. Default 2. */
  readonly samples?: number;
  /** Default 'drop'. */
  readonly ties?: TiePolicy;
  /** Who draws the second response. Default 'policy'; the others need `reference`. */
  readonly opponent?: Opponent;
  /** Of the reference in the opponent 'mixture', from 0 to 1. Default 0.5. */
  readonly mixtureWeight?: number;
  /**
   * pairs: chosen first. samples: groups of the policy's own responses, each rewarded with P(it is
   * better than the other one); for Nash-MD, which trains on one side. Default 'pairs'.
   */
  readonly yields?: 'pairs' | 'samples';
}

const known: OptionNames<OnPolicyPairOptions> = {
  ...onPolicyOptions,
  samples: true,
  ties: true,
  opponent: true,
  mixtureWeight: true,
  yields: true,
};

const defaultMixtureWeight = 0.5;

const checkOpponent = (options: OnPolicyPairOptions): void => {
  const { opponent = 'policy', reference, mixtureWeight, samples = 2 } = options;
  requireChoice('opponent', opponent, ['policy', 'reference', 'mixture']);
  const refuse = (message: string): never => {
    throw new AlignlabError('OPTION_INVALID', message);
  };
  if (opponent !== 'policy' && !reference) {
    refuse(`The opponent "${opponent}" needs a reference model to sample from. Give reference.`);
  }
  if (opponent !== 'policy' && samples !== 2) {
    refuse(`The opponent "${opponent}" gives one response of two; leave samples out.`);
  }
  if (mixtureWeight !== undefined && opponent !== 'mixture') {
    refuse("mixtureWeight acts with opponent 'mixture' only. Leave one of them out.");
  }
  if (mixtureWeight !== undefined && !(mixtureWeight >= 0 && mixtureWeight <= 1)) {
    refuse(`mixtureWeight must be a number from 0 to 1, got ${String(mixtureWeight)}.`);
  }
};

const checkYields = ({ yields = 'pairs', ties, samples = 2 }: OnPolicyPairOptions): void => {
  requireChoice('yields', yields, ['pairs', 'samples']);
  if (yields === 'pairs') return;
  const acts = ties !== undefined ? 'ties' : samples !== 2 ? 'samples' : null;
  if (!acts) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `With yields 'samples' each of two responses has its preference, so ${acts} does not act. ` +
      'Leave it out.',
  );
};

class OnPolicyPairs extends OnPolicySource<OnPolicyPairOptions> {
  readonly #samples: number;
  readonly #ties: TiePolicy;

  constructor(options: OnPolicyPairOptions) {
    super(options);
    refuseUnknown('onPolicyPairs', options, known);
    this.#samples = options.samples ?? 2;
    this.#ties = options.ties ?? 'drop';
    requireWhole('samples', this.#samples, 2);
    requireChoice('ties', this.#ties, ['drop', 'first', 'random']);
    checkOpponent(options);
    checkYields(options);
    if (options.judge) return;
    throw new AlignlabError('OPTION_INVALID', 'Pairs of samples need a judge to label them.');
  }

  describe(): JsonObject {
    const { opponent = 'policy', mixtureWeight, yields = 'pairs' } = this.options;
    return {
      // Only where all responses of the examples are the policy's own.
      source: opponent === 'policy' || yields === 'samples' ? 'on-policy' : 'policy and opponent',
      yields,
      samples: this.#samples,
      ...(yields === 'pairs' ? { ties: this.#ties } : {}),
      opponent,
      ...(opponent === 'mixture' ? { mixtureWeight: mixtureWeight ?? defaultMixtureWeight } : {}),
      ...this.describeCommon(),
    };
  }

  protected async sample(
    prompts: readonly PolicyPrompt[],
    firstDraw: number,
    context: SourceContext,
  ) {
    const { opponent = 'policy', reference, mixtureWeight = defaultMixtureWeight } = this.options;
    if (opponent === 'policy' || !reference) {
      return this.sampler.draw(prompts, firstDraw, this.#samples, context);
    }
    const own = await this.sampler.draw(prompts, firstDraw, 1, context);
    const other = await this.sampler.drawOpponent(opponent, reference, mixtureWeight, prompts, {
      firstDraw,
      context,
    });
    return own.map((samples, p) => [...samples, ...other[p]!]);
  }

  protected convert(drawn: readonly Drawn[], context: SourceContext) {
    const examples: SampledExample[] = [];
    const counts = { tie: 0, failed: 0 };
    for (const each of drawn) {
      const ranking = rank(each.judgement!);
      if (ranking.kind !== 'ranked') counts[ranking.kind] += 1;
      const example =
        this.options.yields === 'samples'
          ? this.#ownSamples(each, context.step)
          : this.#pair(each, ranking, context.step);
      if (example.provenance.outcome === 'delivered') examples.push(example);
      else context.dropped?.(example);
    }
    const lengths = drawn.flatMap(({ samples }) => samples.map(({ tokens }) => tokens.length));
    const ended = drawn.flatMap(({ samples }) => samples.map(({ truncated }) => +!truncated));
    const margins = examples
      .filter(({ kind }) => kind === 'pair')
      .map(({ responses: [chosen, rejected] }) => chosen!.reward! - rejected!.reward!);
    const rewards = drawn.flatMap(({ judgement }) => judgement!.rewards).filter((r) => r !== null);
    return {
      examples,
      metrics: {
        'judge/ties': counts.tie / drawn.length,
        'judge/failed': counts.failed / drawn.length,
        'completions/mean_length': meanOf(lengths),
        'val/contain_eos_token': meanOf(ended),
        ...(rewards.length > 0 ? { 'objective/scores': meanOf(rewards) } : {}),
        ...(margins.length > 0 ? { 'objective/scores_margin': meanOf(margins) } : {}),
      },
    };
  }

  #pair(drawn: Drawn, ranking: Ranking, step: number): SampledExample {
    const { prompt, draw, samples } = drawn;
    const chosen = this.#choose(ranking, draw);
    const order = chosen ?? [...samples.keys()];
    const dropped: Outcome = ranking.kind === 'failed' ? 'judge-failed' : 'tie';
    const fromReference = this.options.opponent === 'reference';
    return {
      kind: chosen ? 'pair' : 'group',
      prompt: prompt.tokens,
      responses: this.responses(drawn, order).map((response, r) => ({
        ...response,
        ...(fromReference ? { fromReference: order[r] === 1 } : {}),
      })),
      origin: `step ${step}, prompt ${prompt.origin ?? draw}`,
      provenance: {
        outcome: chosen ? 'delivered' : dropped,
        tie: ranking.kind === 'tie',
        ...this.provenance(drawn, order),
      },
    };
  }

  #ownSamples(drawn: Drawn, step: number): SampledExample {
    const { prompt, draw, judgement } = drawn;
    const preference = pairPreference(judgement!);
    const isOwn = (this.options.opponent ?? 'policy') === 'policy';
    const order = isOwn ? [0, 1] : [0];
    const rewards = [preference, preference === null ? null : 1 - preference];
    const [response] = this.responses(drawn, [1]);
    const { samples, ...provenance } = this.provenance(drawn, [0, 1]);
    const opponent = { response: response!, sample: samples[1]! };
    return {
      kind: 'group',
      prompt: prompt.tokens,
      responses: this.responses(drawn, order).map((own, r) => ({ ...own, reward: rewards[r]! })),
      origin: `step ${step}, prompt ${prompt.origin ?? draw}`,
      provenance: {
        outcome: preference === null ? 'judge-failed' : 'delivered',
        tie: preference === 0.5,
        ...provenance,
        samples: samples.slice(0, order.length),
        ...(isOwn ? {} : { opponent }),
      },
    };
  }

  /** The samples that are chosen and rejected; null for what is dropped. */
  #choose(ranking: Ranking, draw: number): readonly [number, number] | null {
    if (ranking.kind === 'ranked') return [ranking.best, ranking.worst];
    if (ranking.kind === 'failed' || this.#ties === 'drop') return null;
    if (this.#ties === 'first') return [0, 1];
    return uniform(this.options.seed ?? 0, 'tie', draw) < 0.5 ? [0, 1] : [1, 0];
  }
}

/**
 * Two responses to each prompt (or the best and worst of n), labelled by a judge. What the judge
 * could not tell is dropped and counted, ties as `ties` says; a batch is then smaller.
 */
export const onPolicyPairs = (options: OnPolicyPairOptions): Source => new OnPolicyPairs(options);
