// The protocol up to the arms (Tang et al. 2024, figure 2): labels of a rater or of a file, the golden
// preference model, the relabelled dataset, the SFT policy, the proxy preference model.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonObject } from '../../checkpoint/json.js';
import { relabel, spoken } from '../../ablations/relabel.js';
import { datasetOf } from '../../data/dataset.js';
import { derivedSeed } from '../../data/random.js';
import type { LanguageModel } from '../../engine/model.js';
import { mean } from '../../evaluation/statistics.js';
import type { JudgedResponse, PairJudge } from '../../judges/judge.js';
import { preferenceModelJudge } from '../../judges/preference-model.js';
import { preference } from '../../objectives/preference.js';
import { sft } from '../../objectives/sft.js';
import { datasetPairs } from '../../sources/dataset.js';
import type { Example, Text } from '../../text/example.js';
import { adamW } from '../../training/optimizer.js';
import { train } from '../../training/train.js';
import type { PreferenceRecord } from '../../worlds/index.js';
import type { Artefact, StageContext, Stages } from '../study.js';
import { type Materials, loadJudge, newModel, parametersOf, saveModel } from './materials.js';
import { type ModelRecipe, type Recipe, settingsOf } from './recipe.js';
import { worldSeed } from './task.js';

export { worldSeed } from './task.js';

type Pairs = readonly PreferenceRecord[];

export interface PreferenceModelResult {
  readonly parameters: number;
  /** That were made. */
  readonly steps: number;
  /** Accuracy on the training pairs over the last tenth of the steps, and on held-out pairs. */
  readonly trainAccuracy: number;
  readonly validationAccuracy: number;
  readonly [key: string]: unknown;
}

export interface GoldenResult extends PreferenceModelResult {
  /** Agreement on held-out pairs with the rater's score without noise; null where there is none. */
  readonly raterAgreement: number | null;
}

/** What decides D_initial besides the task. */
const initialSettings = ({ pairs, validation, prompts }: Recipe): JsonObject => ({
  pairs,
  held: validation,
  ...(prompts === null ? {} : { prompts }),
});

const progress = ({ signal }: StageContext) => (signal ? { signal } : {});

const asked = ({ prompt, chosen, rejected }: PreferenceRecord) => {
  const response = (text: Text): JudgedResponse => ({
    text: spoken(text),
    tokens: new Int32Array(),
    truncated: false,
  });
  const first = response(chosen);
  return { prompt, promptTokens: new Int32Array(), first, second: response(rejected) };
};

/** The first response preferred: 1; tie: 0.5. */
const preferences = async (judge: PairJudge, pairs: Pairs): Promise<number[]> =>
  (await judge.compare(pairs.map(asked))).map(({ preference: p }) => p ?? 0.5);

/** How often a model that stops at an accuracy is asked for it, in steps. */
const accuracyEvery = 10;

const heldOutAccuracy = (model: LanguageModel, pairs: Pairs, { comparisons }: Materials) => {
  const judge = preferenceModelJudge({ name: 'in training', model, encoder: comparisons });
  return preferences(judge, pairs).then(mean);
};

/** Trains a pairwise preference model (equation 5) and saves it. */
const trainPreferenceModel = async (
  { learnt, held }: { readonly learnt: Pairs; readonly held: Pairs },
  model: ModelRecipe,
  seed: bigint,
  materials: Materials,
  context: StageContext,
) => {
  const examples = learnt.flatMap((pair) => materials.comparisons.encode(pair).example ?? []);
  await using trained = await newModel(materials, 'preference', model.parameters, seed);
  const { untilAccuracy } = model;
  const accuracies: number[] = [];
  const steps = train({
    policy: trained,
    source: datasetPairs({ examples, order: 'shuffled', seed }),
    objective: preference.make(),
    optimizer: adamW({ learningRate: model.learningRate, weightDecay: 0.01 }),
    steps: model.steps,
    batchSize: model.batchSize,
    schedule: { type: 'cosine', warmupSteps: Math.ceil(model.steps / 20) },
    ...progress(context),
  });
  for await (const { index, metrics } of steps) {
    accuracies.push(metrics.accuracy!);
    context.tick(index, model.steps);
    if (untilAccuracy === undefined || index % accuracyEvery > 0) continue;
    if ((await heldOutAccuracy(trained, held, materials)) >= untilAccuracy) break;
  }
  await saveModel(trained, materials, context.folder);
  const last = accuracies.slice(-Math.ceil(accuracies.length / 10));
  return { trainAccuracy: mean(last), steps: accuracies.length };
};

/** Of the preferences for the responses that are labelled as the better ones. */
const agreementWithRater = (
  { rate }: Materials['task'],
  held: Pairs,
  found: readonly number[],
): number | null => {
  if (!rate) return null;
  const clean = held.map(({ prompt, chosen, rejected }) => {
    const score = (text: Text) => rate(spoken(prompt), spoken(text));
    return Math.sign(score(chosen) - score(rejected));
  });
  return mean(found.flatMap((p, i) => (clean[i] === 0 ? [] : [clean[i]! > 0 ? p : 1 - p])));
};

/** Trained on D_initial, whose labels are noisy. */
export const goldenModel = (
  stages: Stages,
  materials: Materials,
): Promise<Artefact<GoldenResult>> => {
  const { recipe, task, artefact } = materials;
  return stages.stage<GoldenResult>({
    name: 'golden preference model',
    settings: { model: settingsOf(recipe.golden), ...initialSettings(recipe) },
    inputs: [artefact],
    run: async (context) => {
      const pairs = await task.pairs();
      const [learnt, held] = [pairs.slice(0, recipe.pairs), pairs.slice(recipe.pairs)];
      const seed = derivedSeed(worldSeed, 'golden');
      const trained = await trainPreferenceModel(
        { learnt, held },
        recipe.golden,
        seed,
        materials,
        context,
      );
      const saved: Artefact = { name: 'golden', key: '', folder: context.folder, result: {} };
      const judge = await loadJudge('golden', saved, materials);
      const found = await preferences(judge, held);
      await judge.dispose?.();
      return {
        ...trained,
        parameters: parametersOf(materials, recipe.golden.parameters),
        validationAccuracy: mean(found),
        raterAgreement: agreementWithRater(task, held, found),
      };
    },
  });
};

export interface DatasetResult {
  readonly pairs: number;
  readonly validation: number;
  /** Share of D_initial whose order the golden model turned round. */
  readonly changed: number;
  readonly [key: string]: unknown;
}

/** D_golden: the same pairs as the golden model sees them; and held-out ones alike. */
export const goldenDataset = (
  stages: Stages,
  materials: Materials,
  golden: Artefact,
): Promise<Artefact<DatasetResult>> => {
  const { encoder, recipe, artefact, task } = materials;
  return stages.stage<DatasetResult>({
    name: 'golden dataset',
    settings: { ...initialSettings(recipe), relabelled: recipe.dataset },
    inputs: [artefact, golden],
    run: async ({ folder, signal }) => {
      const judge = await loadJudge('golden', golden, materials);
      try {
        const initial = await task.pairs();
        const label = (pairs: Pairs) =>
          relabel(datasetOf(pairs, 'initial', {}), {
            encoder,
            judge,
            ...(signal ? { signal } : {}),
          });
        const learnt = await label(initial.slice(0, recipe.dataset));
        const held = await label(initial.slice(recipe.pairs));
        const [pairs, validation] = [await learnt.dataset.toArray(), await held.dataset.toArray()];
        await writeFile(join(folder, 'pairs.json'), JSON.stringify({ pairs, validation }));
        return {
          pairs: pairs.length,
          validation: validation.length,
          changed: learnt.changed / pairs.length,
        };
      } finally {
        await judge.dispose?.();
      }
    },
  });
};

export interface GoldenPairs {
  readonly pairs: Pairs;
  readonly validation: Pairs;
  readonly examples: readonly Example[];
}

export const readGoldenPairs = async (
  { folder }: Artefact,
  { encoder }: Materials,
): Promise<GoldenPairs> => {
  const text = await readFile(join(folder, 'pairs.json'), 'utf8');
  const { pairs, validation } = JSON.parse(text) as Omit<GoldenPairs, 'examples'>;
  return {
    pairs,
    validation,
    examples: pairs.flatMap((pair) => encoder.encode(pair).example ?? []),
  };
};

/** Start and reference of arms: maximum likelihood of both responses of each pair. */
export const sftPolicy = (
  stages: Stages,
  materials: Materials,
  dataset: Artefact,
  parameters = materials.recipe.sft.parameters,
): Promise<Artefact> => {
  const model = { ...materials.recipe.sft, parameters };
  return stages.stage({
    name: `SFT policy of ${parameters}`,
    settings: { model: settingsOf(model) },
    inputs: [dataset],
    run: async (context) => {
      const { examples } = await readGoldenPairs(dataset, materials);
      const seed = derivedSeed(worldSeed, 'sft');
      await using policy = await newModel(materials, 'policy', model.parameters, seed);
      let loss = 0;
      const steps = train({
        policy,
        source: datasetPairs({ examples, order: 'shuffled', seed, lastBatch: 'across' }),
        objective: sft.make({ targets: 'both' }),
        optimizer: adamW({ learningRate: model.learningRate }),
        steps: model.steps,
        batchSize: model.batchSize,
        schedule: { type: 'cosine', warmupSteps: Math.ceil(model.steps / 20) },
        ...progress(context),
      });
      for await (const step of steps) {
        ({ loss } = step);
        context.tick(step.index, model.steps);
      }
      await saveModel(policy, materials, context.folder);
      return { parameters: parametersOf(materials, model.parameters), loss };
    },
  });
};

/** Trained on D_golden; what online arms train against. */
export const proxyModel = (
  stages: Stages,
  materials: Materials,
  dataset: Artefact,
  seed: number,
  parameters = materials.recipe.proxy.parameters,
): Promise<Artefact<PreferenceModelResult>> => {
  const proxy = { ...materials.recipe.proxy, parameters };
  return stages.stage<PreferenceModelResult>({
    name: `proxy preference model of ${parameters}, seed ${seed}`,
    settings: { model: settingsOf(proxy), seed },
    inputs: [dataset],
    run: async (context) => {
      const { pairs, validation } = await readGoldenPairs(dataset, materials);
      const own = derivedSeed(worldSeed, 'proxy', seed);
      const trained = await trainPreferenceModel(
        { learnt: pairs, held: validation },
        proxy,
        own,
        materials,
        context,
      );
      const saved: Artefact = { name: 'proxy', key: '', folder: context.folder, result: {} };
      const judge = await loadJudge('proxy', saved, materials);
      const validationAccuracy = mean(await preferences(judge, validation));
      await judge.dispose?.();
      return {
        ...trained,
        parameters: parametersOf(materials, proxy.parameters),
        validationAccuracy,
      };
    },
  });
};
