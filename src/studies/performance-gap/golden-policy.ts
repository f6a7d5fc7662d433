// The golden policy: online IPO against the golden model, the fixed opponent of every evaluation; and
// the prompts of training and evaluation.
import { spoken } from '../../ablations/relabel.js';
import { derivedSeed, shuffled } from '../../data/random.js';
import { opponentResponses } from '../../evaluation/win-rate.js';
import { toTrainGoldenPolicy } from '../../judges/checked.js';
import { ipo } from '../../objectives/ipo.js';
import { onPolicyPairs } from '../../sources/on-policy-pairs.js';
import { adamW } from '../../training/optimizer.js';
import { train } from '../../training/train.js';
import type { Artefact, Stages } from '../study.js';
import { type Materials, loadJudge, loadModel, promptsOf, saveModel } from './materials.js';
import { type GoldenPairs, readGoldenPairs, worldSeed } from './protocol.js';
import type { Recipe } from './recipe.js';

/** Prompts of D_golden, each once: arms sample from them, evaluations from the first of them. */
export const trainingPrompts = ({ pairs }: GoldenPairs): string[] => [
  ...new Set(pairs.map(({ prompt }) => spoken(prompt))),
];

/** A deterministic subsample of the training prompts (the paper looks at no others). */
export const evaluationPrompts = (golden: GoldenPairs, { evaluation }: Recipe): string[] =>
  shuffled(trainingPrompts(golden), worldSeed, 'evaluation').slice(0, evaluation.prompts);

export interface GoldenPolicyResult {
  /** Its responses to the evaluation prompts. */
  readonly responses: readonly { readonly text: string; readonly tokens: readonly number[] }[];
  readonly [key: string]: unknown;
}

/** Online IPO against the golden judge, the baseline configuration: every arm's fixed opponent. */
export const goldenPolicy = (
  stages: Stages,
  materials: Materials,
  { golden, dataset, start }: { golden: Artefact; dataset: Artefact; start: Artefact },
): Promise<Artefact<GoldenPolicyResult>> => {
  const { recipe, encoder, sampling } = materials;
  const { arm, evaluation } = recipe;
  return stages.stage<GoldenPolicyResult>({
    name: 'golden policy',
    settings: { arm: { ...arm }, prompts: evaluation.prompts, sampling: { ...sampling } },
    inputs: [golden, dataset, start],
    run: async (context) => {
      const pairs = await readGoldenPairs(dataset, materials);
      const judge = await loadJudge('golden', golden, materials);
      await using policy = await loadModel(start, materials, true);
      const seed = derivedSeed(worldSeed, 'golden policy');
      const steps = train({
        policy,
        source: onPolicyPairs({
          policy,
          prompts: promptsOf(trainingPrompts(pairs), encoder),
          order: 'shuffled',
          judge: toTrainGoldenPolicy(judge),
          decode: (response, prompt) => encoder.decode(response, prompt),
          sampling,
          seed,
        }),
        objective: ipo.make({ beta: arm.beta }),
        optimizer: adamW({ learningRate: arm.learningRate }),
        steps: arm.steps,
        batchSize: arm.batchSize,
        schedule: { type: 'constant' },
        ...(context.signal ? { signal: context.signal } : {}),
      });
      for await (const { index } of steps) context.tick(index, arm.steps);
      await judge.dispose?.();
      await saveModel(policy, materials, context.folder);
      const prompts = promptsOf(evaluationPrompts(pairs, recipe), encoder);
      const drawn = await opponentResponses(policy, { prompts, encoder, sampling, seed });
      return {
        responses: drawn.map(({ text, tokens }) => ({ text, tokens: [...tokens] })),
      };
    },
  });
};
