// One checkpoint, measured on prompts that no stage trains on: the reverse KL on fresh samples, the win
// rate by the golden judge, the reward model's score; and what offline data sees of the KL.
import type { LanguageModel } from '../../../engine/model.js';
import { offlineLogRatio } from '../../../evaluation/coverage.js';
import { klOfSamples } from '../../../evaluation/kl.js';
import { perplexity } from '../../../evaluation/perplexity.js';
import { type EvaluationPrompt, drawResponses } from '../../../evaluation/samples.js';
import { mean } from '../../../evaluation/statistics.js';
import { compareResponses } from '../../../evaluation/win-rate.js';
import { askScores } from '../../../judges/checked.js';
import type { JudgedResponse, RewardJudge } from '../../../judges/judge.js';
import { derivedSeed } from '../../../data/random.js';
import type { Example } from '../../../text/example.js';
import { raterJudge } from '../../../worlds/index.js';
import { loadModel, promptsOf } from '../../performance-gap/materials.js';
import type { Artefact } from '../../study.js';
import { evaluationPrompts, readData } from './data.js';
import { type TextMaterials, worldSeed } from './materials.js';
import type { TextRecipe } from './recipe.js';
import { rewardJudge } from './reward-model.js';

export interface Point {
  readonly step: number;
  /** KL(pi || pi_ref) on fresh samples, nats of a response, and its standard error. */
  readonly kl: number;
  readonly klError: number;
  /** Against responses of the world's own writer, by its rater without noise. */
  readonly winRate: number;
  /** By prompt: 1, 0.5, 0. */
  readonly outcomes: readonly number[];
  /** Mean score of the reward model of D. */
  readonly rewardScore: number;
  /** E_D[log pi / pi_ref], nats: of chosen and rejected responses of D. */
  readonly onData: number;
  readonly onChosen: number;
  readonly onRejected: number;
  /** Mean tokens of a response. */
  readonly length: number;
  readonly truncated: number;
}

/** Perplexities of a token of held-out texts. */
export interface Capabilities {
  /** Chosen responses of the behaviour policy. */
  readonly data: number;
  /** Both responses of the world's writer, which SFT learnt. */
  readonly sft: number;
  /** Of the unrelated world, which SFT learnt and preference training never saw. */
  readonly unrelated: number;
}

export interface Bench {
  readonly materials: TextMaterials;
  readonly recipe: TextRecipe;
  readonly prompts: readonly EvaluationPrompt[];
  readonly opponent: readonly JudgedResponse[];
  readonly reference: LanguageModel;
  readonly reward: RewardJudge<'proxy'>;
  /** D, all of it. */
  readonly pairs: readonly Example[];
  /** Texts for perplexities. */
  readonly texts: Readonly<Record<keyof Capabilities, readonly Example[]>>;
  close(): Promise<void>;
}

export interface BenchInputs {
  readonly reference: Artefact;
  readonly data: Artefact;
  readonly reward: Artefact;
}

const opponentOf = (
  { world, encoder }: TextMaterials,
  texts: readonly string[],
  quality: number,
): JudgedResponse[] =>
  texts.map((prompt, i) => {
    const text = world.respond(prompt, { quality }, derivedSeed(worldSeed, 'opponent', i));
    return { text, tokens: encoder.tokenizer.encode(text), truncated: false };
  });

export const openBench = async (
  materials: TextMaterials,
  recipe: TextRecipe,
  inputs: BenchInputs,
): Promise<Bench> => {
  const { world, unrelated, encoder } = materials;
  const { evaluation } = recipe;
  const texts = evaluationPrompts(materials, recipe);
  const { pairs, validation } = await readData(inputs.data);
  const writtenBy = (writer: typeof world): Example[] =>
    writer
      .preferences(
        evaluation.pairs,
        derivedSeed(worldSeed, 'perplexity'),
        {},
        { split: 'validation' },
      )
      .flatMap((pair) => encoder.encode(pair).example ?? []);
  const reference = await loadModel(inputs.reference, materials);
  const reward = await rewardJudge(inputs.reward, materials);
  return {
    materials,
    recipe,
    prompts: promptsOf(texts, encoder),
    opponent: opponentOf(materials, texts, evaluation.opponentQuality),
    reference,
    reward,
    pairs,
    texts: {
      data: validation.slice(0, evaluation.pairs),
      sft: writtenBy(world),
      unrelated: writtenBy(unrelated),
    },
    close: async () => {
      await reward.dispose?.();
      await reference.dispose();
    },
  };
};

const scoresOf = async (
  { reward, prompts }: Bench,
  drawn: readonly JudgedResponse[],
): Promise<number> => {
  const asked = prompts.map(({ text, tokens }, i) => ({
    prompt: text,
    promptTokens: tokens,
    response: drawn[i]!,
  }));
  const scores = await askScores(reward, asked);
  return mean(scores.filter((score) => score !== null));
};

/** Responses of a seed and a step are the policy's own, whatever else was measured. */
export const measure = async (
  policy: LanguageModel,
  { step, seed }: { readonly step: number; readonly seed: number },
  bench: Bench,
): Promise<Point> => {
  const { materials, recipe, prompts, opponent, reference, pairs } = bench;
  const { encoder, sampling, world } = materials;
  const drawn = (
    await drawResponses(policy, prompts, {
      encoder,
      sampling,
      seed: derivedSeed(seed, 'evaluation'),
      stream: `step ${step}`,
    })
  ).map(([response]) => response!);
  const won = await compareResponses(raterJudge(world), prompts, drawn, opponent, { resamples: 1 });
  const samples = drawn.map((response, i) => ({ ...response, prompt: prompts[i]!.tokens }));
  const kl = await klOfSamples(policy, reference, samples);
  const ofData = pairs.slice(0, recipe.evaluation.pairs);
  const along = async (side: 0 | 1): Promise<number> => {
    const groups = ofData.map(({ prompt, responses }) => ({
      prompt,
      responses: [responses[side]!.tokens],
    }));
    return (await offlineLogRatio(policy, reference, groups)).mean;
  };
  const [onChosen, onRejected] = [await along(0), await along(1)];
  return {
    step,
    kl: kl.exact.mean,
    klError: kl.exact.standardError ?? 0,
    winRate: won.winRate ?? 0.5,
    outcomes: won.outcomes.map((outcome) => outcome ?? 0.5),
    rewardScore: await scoresOf(bench, drawn),
    onData: (onChosen + onRejected) / 2,
    onChosen,
    onRejected,
    length: won.lengths[0],
    truncated: kl.truncated / prompts.length,
  };
};

export const measureCapabilities = async (
  policy: LanguageModel,
  { texts }: Bench,
): Promise<Capabilities> => {
  const of = async (name: keyof Capabilities): Promise<number> => {
    const sides = name === 'data' ? 'chosen' : 'both';
    return (await perplexity(policy, texts[name], { of: sides, resamples: 1 })).perplexity;
  };
  return { data: await of('data'), sft: await of('sft'), unrelated: await of('unrelated') };
};
