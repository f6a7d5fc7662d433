// The reward model of D: Bradley and Terry, one score a response. It gives the RM score that policies
// are measured by, and the rewards of online RLHF. It never labels the data, nor decides a win.
import { derivedSeed } from '../../../data/random.js';
import { mean } from '../../../evaluation/statistics.js';
import type { RewardJudge } from '../../../judges/judge.js';
import { rewardModelJudge, scalarScores } from '../../../judges/reward-model.js';
import { reward } from '../../../objectives/reward.js';
import { datasetPairs } from '../../../sources/dataset.js';
import { adamW } from '../../../training/optimizer.js';
import { train } from '../../../training/train.js';
import { loadModel, newModel, saveModel } from '../../performance-gap/materials.js';
import { settingsOf } from '../../performance-gap/recipe.js';
import type { Artefact, Stages } from '../../study.js';
import { readData } from './data.js';
import { type TextMaterials, worldSeed } from './materials.js';
import type { TextRecipe } from './recipe.js';

export interface RewardModelResult {
  /** Share of held-out pairs of D whose chosen response has the higher score. */
  readonly validationAccuracy: number;
  readonly [key: string]: unknown;
}

export const rewardModel = (
  stages: Stages,
  materials: TextMaterials,
  { reward: model }: TextRecipe,
  data: Artefact,
): Promise<Artefact<RewardModelResult>> =>
  stages.stage<RewardModelResult>({
    name: `reward model of ${data.name}`,
    settings: { model: settingsOf(model) },
    inputs: [data],
    run: async ({ folder, signal, tick }) => {
      const { pairs, validation } = await readData(data);
      const seed = derivedSeed(worldSeed, 'reward');
      await using trained = await newModel(materials, 'preference', model.parameters, seed);
      const steps = train({
        policy: trained,
        source: datasetPairs({ examples: pairs, order: 'shuffled', seed, lastBatch: 'across' }),
        objective: reward.make(),
        optimizer: adamW({ learningRate: model.learningRate, weightDecay: 0.01 }),
        steps: model.steps,
        batchSize: model.batchSize,
        schedule: { type: 'cosine', warmupSteps: Math.ceil(model.steps / 20) },
        ...(signal ? { signal } : {}),
      });
      for await (const { index } of steps) tick(index, model.steps);
      await saveModel(trained, materials, folder);
      const asked = validation.flatMap(({ prompt, responses }) =>
        responses.map(({ tokens }) => ({ prompt, response: tokens })),
      );
      const scores = await scalarScores(trained, asked);
      const right = validation.map((_, i) => (scores[2 * i]! > scores[2 * i + 1]! ? 1 : 0));
      return { validationAccuracy: mean(right) };
    },
  });

/** Disposes of its model. */
export const rewardJudge = async (
  artefact: Artefact,
  materials: TextMaterials,
): Promise<RewardJudge<'proxy'>> =>
  rewardModelJudge({
    role: 'proxy',
    name: artefact.name,
    version: artefact.key,
    model: await loadModel(artefact, materials),
    owned: true,
  });
