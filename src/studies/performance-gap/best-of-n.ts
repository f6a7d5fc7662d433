// Best-of-n of the SFT policy by a proxy, for the curves of Gao et al. 2023. The samples and what the
// golden model says of them are drawn once, and every proxy chooses among the same ones.
//
// A pairwise proxy gives no scalar to choose by. A sample's is its mean preference score over a fixed
// set of other responses of the SFT policy to the same prompt, the anchors: under Bradley-Terry the
// reward up to a constant. They are not the golden policy's response, which is for measuring only.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { derivedSeed } from '../../data/random.js';
import { bestOfN } from '../../evaluation/best-of-n.js';
import { type EvaluationPrompt, drawResponses } from '../../evaluation/samples.js';
import { askVerdicts } from '../../judges/checked.js';
import type { CompareRequest, JudgedResponse, PairJudge, Verdict } from '../../judges/judge.js';
import { meanOf, sumOf } from '../../numbers.js';
import type { Artefact, StageContext, Stages } from '../study.js';
import { type Ground, groundInputs } from './bench.js';
import { evaluationPrompts } from './golden-policy.js';
import { loadJudge, loadModel, promptsOf } from './materials.js';
import { preferenceScore } from './preference-score.js';
import { readGoldenPairs, worldSeed } from './protocol.js';
import type { Recipe } from './recipe.js';

export const bestOfNSizes: readonly number[] = [1, 2, 4, 8, 16, 32];

const settingsOf = ({ evaluation }: Recipe) => ({
  prompts: Math.min(128, evaluation.prompts),
  samples: Math.max(...bestOfNSizes),
  anchors: 4,
});

/** Against the golden policy's response: 1, 0.5, 0, and the preference score in nats. */
interface Outcome {
  readonly win: number;
  readonly score: number;
}

interface PoolOfPrompt {
  readonly samples: readonly string[];
  readonly anchors: readonly string[];
  readonly golden: readonly Outcome[];
}

/** A judge that cannot tell counts as a tie. */
const outcomeOf = (verdict: Verdict): Outcome => ({
  win: (1 + Math.sign((verdict.preference ?? 0.5) - 0.5)) / 2,
  score: preferenceScore(verdict) ?? 0,
});

const judged = (text: string): JudgedResponse => ({
  text,
  tokens: new Int32Array(),
  truncated: false,
});

/** Each of `samples` against each of `others`, sample by sample. */
const compareAll = (
  judge: PairJudge,
  { text, tokens }: EvaluationPrompt,
  samples: readonly string[],
  others: readonly string[],
): Promise<readonly Verdict[]> => {
  const common = { prompt: text, promptTokens: tokens };
  const requests = samples.flatMap((sample): CompareRequest[] =>
    others.map((other) => ({ ...common, first: judged(sample), second: judged(other) })),
  );
  return askVerdicts(judge, requests);
};

const promptsFor = async ({ dataset, materials }: Ground): Promise<EvaluationPrompt[]> => {
  const { recipe, encoder } = materials;
  const pairs = await readGoldenPairs(dataset, materials);
  const texts = evaluationPrompts(pairs, recipe).slice(0, settingsOf(recipe).prompts);
  return promptsOf(texts, encoder);
};

const fileOf = (folder: string): string => join(folder, 'pool.json');

interface PoolResult {
  readonly prompts: number;
  readonly samples: number;
  readonly [key: string]: unknown;
}

const drawPool = async (
  ground: Ground,
  { signal, tick }: Pick<StageContext, 'signal' | 'tick'>,
): Promise<PoolOfPrompt[]> => {
  const { materials, golden, start, goldenPolicy } = ground;
  const { encoder, sampling, recipe } = materials;
  const { samples, anchors } = settingsOf(recipe);
  const prompts = await promptsFor(ground);
  await using policy = await loadModel(start, materials);
  const seed = derivedSeed(worldSeed, 'best of n');
  const drawTexts = async (count: number, stream: string): Promise<string[][]> => {
    const own = { encoder, sampling, seed, stream, samples: count, ...(signal ? { signal } : {}) };
    const drawn = await drawResponses(policy, prompts, own);
    return drawn.map((responses) => responses.map(({ text }) => text));
  };
  const texts = await drawTexts(samples, 'samples');
  const others = await drawTexts(anchors, 'anchors');
  const judge = await loadJudge('golden', golden, materials);
  try {
    const pool: PoolOfPrompt[] = [];
    for (const [i, prompt] of prompts.entries()) {
      signal?.throwIfAborted();
      const opponent = goldenPolicy.result.responses[i]!.text;
      const verdicts = await compareAll(judge, prompt, texts[i]!, [opponent]);
      pool.push({ samples: texts[i]!, anchors: others[i]!, golden: verdicts.map(outcomeOf) });
      tick(i + 1, prompts.length);
    }
    return pool;
  } finally {
    await judge.dispose?.();
  }
};

/** Samples of the SFT policy with the golden model's outcomes. */
export const bestOfNPool = (stages: Stages, ground: Ground): Promise<Artefact<PoolResult>> => {
  const settings = settingsOf(ground.materials.recipe);
  return stages.stage<PoolResult>({
    name: 'best of n: samples',
    settings,
    inputs: groundInputs(ground),
    run: async (context) => {
      const pool = await drawPool(ground, context);
      await writeFile(fileOf(context.folder), JSON.stringify(pool));
      return { prompts: pool.length, samples: settings.samples };
    },
  });
};

export const bestOfNQuantities = ['goldenWin', 'goldenScore', 'proxyWin', 'proxyScore'] as const;
export type BestOfNQuantity = (typeof bestOfNQuantities)[number];

/** Expected value of the best of n: by n as in `bestOfNSizes`, then by prompt. */
export type BestOfNValues = Readonly<Record<BestOfNQuantity, readonly (readonly number[])[]>>;

/** Deviation of the preference score among samples of a prompt, root mean square over prompts. */
export type ScoreSpread = Readonly<Record<'golden' | 'proxy', number>>;

interface CurveResult {
  readonly values: BestOfNValues;
  readonly spread: ScoreSpread;
  readonly [key: string]: unknown;
}

/** What the proxy makes of one prompt: the value to choose a sample by, and its outcomes. */
const byProxy = async (
  proxy: PairJudge,
  prompt: EvaluationPrompt,
  { samples, anchors }: PoolOfPrompt,
  opponent: string,
): Promise<{ readonly choice: readonly number[]; readonly outcomes: readonly Outcome[] }> => {
  const verdicts = await compareAll(proxy, prompt, samples, [opponent, ...anchors]);
  const width = 1 + anchors.length;
  const rows = samples.map((_, s) => verdicts.slice(s * width, (s + 1) * width));
  return {
    choice: rows.map(([, ...own]) => meanOf(own.map((verdict) => preferenceScore(verdict) ?? 0))),
    outcomes: rows.map(([own]) => outcomeOf(own!)),
  };
};

/** One prompt's expected values at each n, by the estimator over all subsets. */
export const bestOfNOfPrompt = (
  choice: readonly number[],
  golden: readonly Outcome[],
  proxy: readonly Outcome[],
): Readonly<Record<BestOfNQuantity, readonly number[]>> => {
  const expected = (values: readonly number[]): number[] => {
    const samples = choice.map((own, s) => ({ proxy: own, golden: values[s]! }));
    return bestOfNSizes.map((n) => bestOfN(samples, n).golden);
  };
  return {
    goldenWin: expected(golden.map(({ win }) => win)),
    goldenScore: expected(golden.map(({ score }) => score)),
    proxyWin: expected(proxy.map(({ win }) => win)),
    proxyScore: expected(proxy.map(({ score }) => score)),
  };
};

/** Variance with N - 1. */
const varianceOf = (values: readonly number[]): number => {
  const middle = meanOf(values);
  return sumOf(values.map((value) => (value - middle) ** 2)) / (values.length - 1);
};

const scoreVariance = (outcomes: readonly Outcome[]): number =>
  varianceOf(outcomes.map(({ score }) => score));

/** Prompt by prompt. */
const measureCurves = async (
  judge: PairJudge,
  ground: Ground,
  pools: readonly PoolOfPrompt[],
  { signal, tick }: Pick<StageContext, 'signal' | 'tick'>,
): Promise<CurveResult> => {
  const prompts = await promptsFor(ground);
  const { responses } = ground.goldenPolicy.result;
  const values: Record<BestOfNQuantity, number[][]> = {
    goldenWin: bestOfNSizes.map(() => []),
    goldenScore: bestOfNSizes.map(() => []),
    proxyWin: bestOfNSizes.map(() => []),
    proxyScore: bestOfNSizes.map(() => []),
  };
  const variances = { golden: [] as number[], proxy: [] as number[] };
  for (const [i, prompt] of prompts.entries()) {
    signal?.throwIfAborted();
    const { golden } = pools[i]!;
    const { choice, outcomes } = await byProxy(judge, prompt, pools[i]!, responses[i]!.text);
    const found = bestOfNOfPrompt(choice, golden, outcomes);
    for (const name of bestOfNQuantities) {
      found[name].forEach((value, n) => values[name][n]!.push(value));
    }
    variances.golden.push(scoreVariance(golden));
    variances.proxy.push(scoreVariance(outcomes));
    tick(i + 1, prompts.length);
  }
  const { golden, proxy } = variances;
  const spread = { golden: Math.sqrt(meanOf(golden)), proxy: Math.sqrt(meanOf(proxy)) };
  return { values, spread };
};

/** The pool's samples as this proxy chooses among them. */
export const bestOfNCurves = (
  stages: Stages,
  ground: Ground,
  pool: Artefact,
  proxy: Artefact,
): Promise<Artefact<CurveResult>> =>
  stages.stage<CurveResult>({
    name: `best of n: by ${proxy.name}`,
    settings: { ns: [...bestOfNSizes] },
    inputs: [pool, proxy, ground.goldenPolicy],
    run: async (context) => {
      const text = await readFile(fileOf(pool.folder), 'utf8');
      const judge = await loadJudge('proxy', proxy, ground.materials);
      try {
        return await measureCurves(judge, ground, JSON.parse(text) as PoolOfPrompt[], context);
      } finally {
        await judge.dispose?.();
      }
    },
  });
