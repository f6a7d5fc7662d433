// The laboratory of the text half: what its experiments ask for data, judges and arms.
import { fileHash } from '../../../data/content-hash.js';
import { loadModel, promptsOf, saveModel, weightsPath } from '../../performance-gap/materials.js';
import { sftPolicy } from '../../performance-gap/protocol.js';
import type { Artefact, Stages } from '../../study.js';
import { type DataResult, behaviourData, sftData, trainingPrompts } from './data.js';
import type { TextMaterials } from './materials.js';
import {
  type Bench,
  type BenchInputs,
  type Capabilities,
  type Point,
  measure,
  measureCapabilities,
  openBench,
} from './measure.js';
import { type Method, methodTitle, trainMethod } from './methods.js';
import type { Behaviour, TextRecipe } from './recipe.js';
import { type RewardModelResult, rewardModel } from './reward-model.js';

export interface Arm {
  readonly method: Method;
  readonly seed: number;
  /** Default: of the recipe. */
  readonly behaviour?: Behaviour;
  /** Parameters; default: of the recipe. Another size has its own SFT policy, and D from that. */
  readonly policy?: number;
}

export interface ArmResult extends Record<string, unknown> {
  readonly points: readonly Point[];
  readonly capabilities: Capabilities;
  /** SHA-256 of the weights at the end. */
  readonly weights: string;
}

export type ArmRun = Artefact<ArmResult>;

export interface StartResult extends Record<string, unknown> {
  readonly point: Point;
  readonly capabilities: Capabilities;
}

/** Of which behaviour's data, and of which size of policy. */
export type Setting = Pick<Arm, 'behaviour' | 'policy'>;

export interface TextLab {
  readonly recipe: TextRecipe;
  data(setting?: Setting): Promise<Artefact<DataResult>>;
  rewardModel(setting?: Setting): Promise<Artefact<RewardModelResult>>;
  /** The SFT policy, measured. */
  start(setting?: Setting): Promise<Artefact<StartResult>>;
  arm(arm: Arm): Promise<ArmRun>;
}

/** Opens what measures policies, and closes it. */
const withBench = async <Result>(
  materials: TextMaterials,
  recipe: TextRecipe,
  inputs: BenchInputs,
  use: (bench: Bench) => Promise<Result>,
): Promise<Result> => {
  const bench = await openBench(materials, recipe, inputs);
  try {
    return await use(bench);
  } finally {
    await bench.close();
  }
};

class StudyTextLab implements TextLab {
  readonly recipe: TextRecipe;
  readonly #stages: Stages;
  readonly #materials: TextMaterials;

  constructor(stages: Stages, materials: TextMaterials, recipe: TextRecipe) {
    this.#stages = stages;
    this.#materials = materials;
    this.recipe = recipe;
  }

  async data({ behaviour = this.recipe.behaviour, policy }: Setting = {}) {
    const reference = await this.#sft(policy);
    const chosen = { behaviour, reference };
    return behaviourData(this.#stages, this.#materials, this.recipe, chosen);
  }

  async rewardModel(setting: Setting = {}) {
    return rewardModel(this.#stages, this.#materials, this.recipe, await this.data(setting));
  }

  async start(setting: Setting = {}): Promise<Artefact<StartResult>> {
    const inputs = await this.#inputs(setting);
    const { recipe } = this;
    return this.#stages.stage<StartResult>({
      name: `SFT policy, measured, of ${inputs.data.name}`,
      settings: { evaluation: { ...recipe.evaluation } },
      inputs: Object.values(inputs),
      run: () =>
        withBench(this.#materials, recipe, inputs, async (bench) => ({
          point: await measure(bench.reference, { step: 0, seed: 0 }, bench),
          capabilities: await measureCapabilities(bench.reference, bench),
        })),
    });
  }

  async arm({ method, seed, ...setting }: Arm): Promise<ArmRun> {
    const inputs = await this.#inputs(setting);
    const { evaluation } = this.recipe;
    const { steps, batchSize, learningRate } =
      method.name === 'rlhf' ? this.recipe.rlhf : this.recipe.arm;
    const training = { steps, batchSize, learningRate };
    return this.#stages.stage<ArmResult>({
      name: `${methodTitle(method)}, seed ${seed}, ${inputs.data.name}`,
      settings: { method: { ...method }, seed, training, evaluation: { ...evaluation } },
      inputs: Object.values(inputs),
      run: (context) =>
        withBench(this.#materials, this.recipe, inputs, async (bench) => {
          const materials = this.#materials;
          await using policy = await loadModel(inputs.reference, materials, true);
          const points: Point[] = [];
          const ground = {
            policy,
            reference: bench.reference,
            pairs: bench.pairs,
            prompts: promptsOf(trainingPrompts(materials, this.recipe), materials.encoder),
            sampling: materials.sampling,
            encoder: materials.encoder,
            reward: bench.reward,
          };
          const options = {
            method,
            training,
            seed,
            measuredAt: evaluation.steps.filter((step) => step <= steps),
            measure: async (step: number) => {
              points.push(await measure(policy, { step, seed }, bench));
            },
          };
          await trainMethod(ground, options, context);
          await saveModel(policy, materials, context.folder);
          const weights = await fileHash(weightsPath({ ...inputs.data, folder: context.folder }));
          return { points, capabilities: await measureCapabilities(policy, bench), weights };
        }),
    });
  }

  async #sft(policy?: number): Promise<Artefact> {
    const texts = await sftData(this.#stages, this.#materials, this.recipe);
    return sftPolicy(this.#stages, this.#materials, texts, policy);
  }

  async #inputs(setting: Setting): Promise<BenchInputs> {
    return {
      reference: await this.#sft(setting.policy),
      data: await this.data(setting),
      reward: await this.rewardModel(setting),
    };
  }
}

export const openTextLab = (
  stages: Stages,
  materials: TextMaterials,
  recipe: TextRecipe,
): TextLab => new StudyTextLab(stages, materials, recipe);

/** The recipe's own methods. */
export const methodsOf = ({ arm, hypo, rlhf }: TextRecipe) =>
  ({
    dpo: { name: 'dpo', beta: arm.beta },
    hypo: { name: 'hypo', beta: arm.beta, ...hypo },
    rlhf: { name: 'rlhf', beta: rlhf.beta, samples: rlhf.samples },
  }) as const satisfies Record<string, Method>;
