// One checkpoint of a policy, measured: KL to the start, win rate against the golden policy by the
// golden model and by the proxy, and the policy as a classifier of D_golden.
import { spoken } from '../../ablations/relabel.js';
import type { LanguageModel } from '../../engine/model.js';
import { classifyPairs, selfClassification } from '../../evaluation/classification.js';
import type { FrontierPoint } from '../../evaluation/frontier.js';
import { klOfSamples } from '../../evaluation/kl.js';
import { type EvaluationPrompt, drawResponses } from '../../evaluation/samples.js';
import { compareResponses } from '../../evaluation/win-rate.js';
import type { JudgedResponse, PairJudge } from '../../judges/judge.js';
import type { Example } from '../../text/example.js';
import type { Materials } from './materials.js';
import { listening } from './preference-score.js';

export interface Point {
  readonly step: number;
  /** Nats, summed over the response, and its standard error. */
  readonly kl: number;
  readonly klError: number;
  /** Against the golden policy, by the golden model. */
  readonly winRate: number;
  /** By prompt: W, L, T for a tie, - where the judge failed. */
  readonly outcomes: string;
  /** The same responses by the proxy. */
  readonly proxyWinRate: number;
  /** Mean preference score of the same comparisons by each of them, nats: preference-score.ts. */
  readonly score: number;
  readonly proxyScore: number;
  /** As a classifier of pairs of D_golden. */
  readonly accuracy: number;
  /** log pi - log pi_sft of the better and the worse response of D_golden, nats. */
  readonly chosenDrift: number;
  readonly chosenDriftError: number;
  readonly rejectedDrift: number;
  /** Mean tokens of a response. */
  readonly length: number;
  readonly truncated: number;
}

export interface Bench {
  readonly materials: Materials;
  readonly prompts: readonly EvaluationPrompt[];
  readonly opponent: readonly JudgedResponse[];
  readonly golden: PairJudge<'golden'>;
  readonly proxy: PairJudge<'proxy'>;
  readonly start: LanguageModel;
  /** Of D_golden. */
  readonly pairs: readonly Example[];
}

const letters = new Map([
  [1, 'W'],
  [0.5, 'T'],
  [0, 'L'],
]);
const numbers: Readonly<Record<string, number>> = { W: 1, T: 0.5, L: 0 };

export interface Sample {
  readonly prompt: string;
  readonly response: string;
  readonly opponent: string;
  readonly outcome: string;
}

export const measure = async (
  policy: LanguageModel,
  { step, seed }: { readonly step: number; readonly seed: bigint },
  bench: Bench,
): Promise<{ readonly point: Point; readonly samples: readonly Sample[] }> => {
  const { materials, prompts, opponent, golden, proxy, start, pairs } = bench;
  const { encoder, sampling } = materials;
  const options = { encoder, sampling, seed, stream: `step ${step}` };
  const drawn = (await drawResponses(policy, prompts, options)).map(([response]) => response!);
  const once = { resamples: 1 };
  const [goldenScores, proxyScores] = [listening(golden), listening(proxy)];
  const won = await compareResponses(goldenScores.judge, prompts, drawn, opponent, once);
  const proxied = await compareResponses(proxyScores.judge, prompts, drawn, opponent, once);
  const kl = await klOfSamples(
    policy,
    start,
    drawn.map((response, i) => ({ ...response, prompt: prompts[i]!.tokens })),
  );
  const classified = await classifyPairs(pairs, { policy, reference: start });
  const outcomes = won.outcomes.map((outcome) => letters.get(outcome ?? -1) ?? '-');
  const point: Point = {
    step,
    kl: Math.max(0, kl.exact.mean),
    klError: kl.exact.standardError ?? 0,
    winRate: won.winRate ?? 0.5,
    outcomes: outcomes.join(''),
    proxyWinRate: proxied.winRate ?? 0.5,
    score: goldenScores.mean(),
    proxyScore: proxyScores.mean(),
    accuracy: classified.accuracy,
    chosenDrift: classified.chosenDrift.mean,
    chosenDriftError: classified.chosenDrift.standardError ?? 0,
    rejectedDrift: classified.rejectedDrift.mean,
    length: won.lengths[0],
    truncated: kl.truncated / prompts.length,
  };
  const samples = drawn.slice(0, 8).map(({ text }, i) => ({
    prompt: spoken(prompts[i]!.text),
    response: text,
    opponent: opponent[i]!.text,
    outcome: outcomes[i]!,
  }));
  return { point, samples };
};

export interface SelfAccuracy {
  readonly accuracy: number;
  readonly pairs: number;
}

/** On pairs of its own samples, as the golden model orders them; null where it orders none. */
export const measureSelf = async (
  policy: LanguageModel,
  seed: bigint,
  { materials: { encoder, sampling }, prompts, golden, start }: Bench,
): Promise<SelfAccuracy | null> => {
  const options = { policy, reference: start, judge: golden, prompts, encoder, sampling, seed };
  const { classification } = await selfClassification(options);
  return classification && { accuracy: classification.accuracy, pairs: classification.pairs };
};

/** By prompt: 1, 0.5, 0, or null where the judge failed. */
export const outcomesOf = ({ outcomes }: Point): (number | null)[] =>
  Array.from(outcomes, (letter) => numbers[letter] ?? null);

export const frontierPoint = (point: Point, run: string, seed: number): FrontierPoint => ({
  kl: point.kl,
  winRate: point.winRate,
  run,
  step: point.step,
  seed,
  outcomes: outcomesOf(point),
});
