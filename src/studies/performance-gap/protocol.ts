// The protocol up to the arms (Tang et al. 2024, figure 2): the rater's labels, the golden preference
// model, the relabelled dataset, the SFT policy, the proxy preference model.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { relabel, spoken } from '../../ablations/relabel.js';
import { datasetOf } from '../../data/dataset.js';
import { derivedSeed } from '../../data/random.js';
import { mean } from '../../evaluation/statistics.js';
import type { JudgedResponse, PairJudge } from '../../judges/judge.js';
import { preference } from '../../objectives/preference.js';
import { sft } from '../../objectives/sft.js';
import { datasetPairs } from '../../sources/dataset.js';
import type { Example, Text } from '../../text/example.js';
import { adamW } from '../../training/optimizer.js';
import { train } from '../../training/train.js';
import type { PreferenceRecord } from '../../worlds/index.js';
import type { Artefact, StageContext, Study } from '../study.js';
import { type Materials, loadJudge, newModel, parametersOf, saveModel } from './materials.js';
import { type ModelRecipe, settingsOf } from './recipe.js';

/** Of the hidden world and of everything that all seeds share. */
export const worldSeed = 20240508;

type Pairs = readonly PreferenceRecord[];

interface PreferenceModelResult {
  readonly parameters: number;
  /** Accuracy on the training pairs over the last tenth of the steps, and on held-out pairs. */
  readonly trainAccuracy: number;
  readonly validationAccuracy: number;
  readonly [key: string]: unknown;
}

interface GoldenResult extends PreferenceModelResult {
  /** Agreement on held-out pairs with the rater's score without noise. */
  readonly raterAgreement: number;
}

const initialPairs = ({ world, recipe }: Materials): Pairs =>
  world.preferences(recipe.pairs + recipe.validation, derivedSeed(worldSeed, 'initial'));

const progress = ({ signal }: StageContext) => (signal ? { signal } : {});

/** Trains a pairwise preference model (equation 5) and saves it. */
const trainPreferenceModel = async (
  pairs: Pairs,
  model: ModelRecipe,
  seed: bigint,
  materials: Materials,
  context: StageContext,
) => {
  const examples = pairs.flatMap((pair) => materials.comparisons.encode(pair).example ?? []);
  await using trained = await newModel(materials, 'preference', model.parameters, seed);
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
    if (index > model.steps * 0.9) accuracies.push(metrics.accuracy!);
    context.tick(index, model.steps);
  }
  await saveModel(trained, materials, context.folder);
  const trainAccuracy = accuracies.reduce((sum, value) => sum + value, 0) / accuracies.length;
  return { trainAccuracy };
};

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

/** Trained on D_initial, which the rater labelled with noise. */
export const goldenModel = (
  study: Study,
  materials: Materials,
): Promise<Artefact<GoldenResult>> => {
  const { recipe, world, artefact } = materials;
  return study.stage<GoldenResult>({
    name: 'golden preference model',
    settings: { model: settingsOf(recipe.golden), pairs: recipe.pairs, held: recipe.validation },
    inputs: [artefact],
    run: async (context) => {
      const pairs = initialPairs(materials);
      const [learnt, held] = [pairs.slice(0, recipe.pairs), pairs.slice(recipe.pairs)];
      const seed = derivedSeed(worldSeed, 'golden');
      const trained = await trainPreferenceModel(learnt, recipe.golden, seed, materials, context);
      const saved: Artefact = { name: 'golden', key: '', folder: context.folder, result: {} };
      const judge = await loadJudge('golden', saved, materials);
      const found = await preferences(judge, held);
      await judge.dispose?.();
      const clean = held.map(({ prompt, chosen, rejected }) => {
        const score = (text: Text) => world.rate(spoken(prompt), spoken(text)).golden;
        return Math.sign(score(chosen) - score(rejected));
      });
      const decided = found.flatMap((p, i) => (clean[i] === 0 ? [] : [clean[i]! > 0 ? p : 1 - p]));
      return {
        ...trained,
        parameters: parametersOf(materials, recipe.golden.parameters),
        validationAccuracy: mean(found),
        raterAgreement: mean(decided),
      };
    },
  });
};

interface DatasetResult {
  readonly pairs: number;
  readonly validation: number;
  /** Share of D_initial whose order the golden model turned round. */
  readonly changed: number;
  readonly [key: string]: unknown;
}

/** D_golden: the same pairs as the golden model sees them; and held-out ones alike. */
export const goldenDataset = (
  study: Study,
  materials: Materials,
  golden: Artefact,
): Promise<Artefact<DatasetResult>> => {
  const { encoder, recipe, artefact } = materials;
  return study.stage<DatasetResult>({
    name: 'golden dataset',
    settings: { pairs: recipe.pairs, held: recipe.validation },
    inputs: [artefact, golden],
    run: async ({ folder, signal }) => {
      const judge = await loadJudge('golden', golden, materials);
      try {
        const initial = initialPairs(materials);
        const label = (pairs: Pairs) =>
          relabel(datasetOf(pairs, 'initial', {}), {
            encoder,
            judge,
            ...(signal ? { signal } : {}),
          });
        const learnt = await label(initial.slice(0, recipe.pairs));
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

/** The start and the reference of every arm: maximum likelihood of both responses of each pair. */
export const sftPolicy = (
  study: Study,
  materials: Materials,
  dataset: Artefact,
): Promise<Artefact> => {
  const { sft: model } = materials.recipe;
  return study.stage({
    name: 'SFT policy',
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
  study: Study,
  materials: Materials,
  dataset: Artefact,
  seed: number,
): Promise<Artefact<PreferenceModelResult>> => {
  const { proxy } = materials.recipe;
  return study.stage<PreferenceModelResult>({
    name: `proxy preference model, seed ${seed}`,
    settings: { model: settingsOf(proxy), seed },
    inputs: [dataset],
    run: async (context) => {
      const { pairs, validation } = await readGoldenPairs(dataset, materials);
      const own = derivedSeed(worldSeed, 'proxy', seed);
      const trained = await trainPreferenceModel(pairs, proxy, own, materials, context);
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
