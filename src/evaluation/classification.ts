// The policy as a classifier of preferences, and what training does to the likelihood of the data
// (Tang et al. 2024, section 5.3): f = log(pi(y1) / pi(y2)) - log(ref(y1) / ref(y2)), y1 over y2
// where f > 0.
import type { LanguageModel } from '../engine/model.js';
import { type PassOptions, type TokenGroup, logProbsAlong } from '../engine/responses.js';
import { AlignlabError } from '../errors.js';
import { sumOf } from '../numbers.js';
import { type OptionNames, refuseUnknown } from '../options.js';
import type { Judge } from '../judges/judge.js';
import type { Encoder } from '../text/encoding.js';
import type { Example } from '../text/example.js';
import { type EvaluationPrompt, type FreeSampling, drawResponses } from './samples.js';
import {
  type Estimate,
  type Interval,
  type ResamplingOptions,
  estimate,
  wilsonInterval,
} from './statistics.js';
import { compareResponses } from './win-rate.js';

export interface Classification {
  /** Of pairs with f > 0, and half of those with f = 0, as in a policy that equals its reference. */
  readonly accuracy: number;
  readonly wilson: Interval;
  readonly pairs: number;
  readonly undecided: number;
  /** f, in nats. */
  readonly margin: Estimate;
  /** log pi - log ref of the better and the worse response, in nats, summed over tokens. */
  readonly chosenDrift: Estimate;
  readonly rejectedDrift: Estimate;
  /** log pi of each, in nats. */
  readonly chosenLogProb: Estimate;
  readonly rejectedLogProb: Estimate;
  /** f of each pair, in order. */
  readonly margins: readonly number[];
}

export interface ClassificationOptions extends PassOptions {
  readonly policy: LanguageModel;
  /** null: f is the policy's log-ratio alone, and drifts are log-probabilities. */
  readonly reference: LanguageModel | null;
  /** Coverage of the interval. Default 0.95. */
  readonly level?: number;
}

const known: OptionNames<ClassificationOptions> = {
  policy: true,
  reference: true,
  level: true,
  maxTokens: true,
  signal: true,
};

const groupOf = ({ kind, prompt, responses, origin }: Example): TokenGroup => {
  if (kind === 'pair' && responses.length === 2) {
    return { prompt, responses: responses.map(({ tokens }) => tokens) };
  }
  throw new AlignlabError(
    'DATA_INVALID',
    `${origin} is not a pair of a chosen and a rejected response (found "${kind}"). ` +
      'Give rows with prompt, chosen and rejected.',
  );
};

const sums = async (
  model: LanguageModel,
  groups: readonly TokenGroup[],
  options: PassOptions,
): Promise<(readonly [number, number])[]> =>
  (await logProbsAlong(model, groups, options)).map(([a, b]) => [sumOf(a!), sumOf(b!)] as const);

/** @param pairs of which the first response is the better one */
const classify = async (
  groups: readonly TokenGroup[],
  { policy, reference, level, ...pass }: ClassificationOptions,
): Promise<Classification> => {
  const own = await sums(policy, groups, pass);
  const theirs = reference ? await sums(reference, groups, pass) : own.map(() => [0, 0] as const);
  const drifts = own.map(([a, b], i) => [a - theirs[i]![0], b - theirs[i]![1]] as const);
  const margins = drifts.map(([a, b]) => a - b);
  const undecided = margins.filter((margin) => margin === 0).length;
  const right = margins.filter((margin) => margin > 0).length + undecided / 2;
  return {
    accuracy: right / margins.length,
    wilson: wilsonInterval(right, margins.length, level),
    pairs: margins.length,
    undecided,
    margin: estimate(margins),
    chosenDrift: estimate(drifts.map(([a]) => a)),
    rejectedDrift: estimate(drifts.map(([, b]) => b)),
    chosenLogProb: estimate(own.map(([a]) => a)),
    rejectedLogProb: estimate(own.map(([, b]) => b)),
    margins,
  };
};

/** On pairs of a dataset, chosen first. */
export const classifyPairs = async (
  pairs: readonly Example[],
  options: ClassificationOptions,
): Promise<Classification> => {
  refuseUnknown('classifyPairs', options, known);
  if (pairs.length === 0) {
    throw new AlignlabError('OPTION_INVALID', 'There are no pairs to classify. Give at least one.');
  }
  return classify(pairs.map(groupOf), options);
};

export interface SelfClassificationOptions extends ClassificationOptions {
  readonly judge: Judge;
  readonly prompts: readonly EvaluationPrompt[];
  readonly encoder: Pick<Encoder, 'decode'>;
  readonly sampling?: FreeSampling;
  readonly seed?: ResamplingOptions['seed'];
}

const selfKnown: OptionNames<SelfClassificationOptions> = {
  ...known,
  judge: true,
  prompts: true,
  encoder: true,
  sampling: true,
  seed: true,
};

export interface SelfClassification {
  /** Null where the judge called no winner. */
  readonly classification: Classification | null;
  readonly ties: number;
  readonly failures: number;
}

/** On pairs that the policy draws and the judge decides; ties and failures are left out. */
export const selfClassification = async (
  options: SelfClassificationOptions,
): Promise<SelfClassification> => {
  refuseUnknown('selfClassification', options, selfKnown);
  const { judge, prompts, encoder, sampling, seed, ...rest } = options;
  const drawn = await drawResponses(rest.policy, prompts, {
    encoder,
    samples: 2,
    stream: 'self-classification',
    ...(sampling ? { sampling } : {}),
    ...(seed === undefined ? {} : { seed }),
    ...(rest.signal ? { signal: rest.signal } : {}),
  });
  const side = (i: 0 | 1) => drawn.map((responses) => responses[i]!);
  const judged = await compareResponses(judge, prompts, side(0), side(1), {
    resamples: 1,
    ...(rest.signal ? { signal: rest.signal } : {}),
  });
  const groups = judged.outcomes.flatMap((outcome, i): TokenGroup[] => {
    if (outcome === null || outcome === 0.5) return [];
    const [a, b] = drawn[i]!.map(({ tokens }) => tokens) as [Int32Array, Int32Array];
    return [{ prompt: prompts[i]!.tokens, responses: outcome === 1 ? [a, b] : [b, a] }];
  });
  return {
    classification: groups.length > 0 ? await classify(groups, rest) : null,
    ties: judged.ties,
    failures: judged.failures,
  };
};
