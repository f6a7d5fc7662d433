// The laboratory of the simulator study: what its experiments ask for data, arms and rollouts.
import type { DatasetKind } from '../../control/index.js';
import { requireDevice } from '../../engine/device.js';
import type { Artefact, Stages } from '../study.js';
import type { Arm } from './arms.js';
import { type DatasetResult, locomotionData, wheelLeggedData } from './datasets.js';
import type { Recipe } from './recipe.js';
import { type RolloutResult, type TrialsResult, rolloutOf, trialsOf } from './rollouts.js';
import { type Run, trainArm } from './training.js';

export interface Lab {
  readonly recipe: Recipe;
  readonly stage: Stages['stage'];
  train(arm: Arm): Promise<Run>;
  rollout(run: Run): Promise<Artefact<RolloutResult>>;
  trials(run: Run): Promise<Artefact<TrialsResult>>;
  /** Every run that was asked for so far, each once, in order. */
  runs(): readonly Run[];
}

const defaultBins = 20;

class StudyLab implements Lab {
  readonly recipe: Recipe;
  readonly stage: Stages['stage'];
  readonly #stages: Stages;
  readonly #folder: string;
  /** By key; the place is that of the first time that it was asked for. */
  readonly #runs = new Map<string, { readonly place: number; readonly run: Run }>();
  #asked = 0;

  constructor(stages: Stages, recipe: Recipe, folder: string) {
    this.recipe = recipe;
    this.#stages = stages;
    this.#folder = folder;
    this.stage = (stage) => stages.stage(stage);
  }

  #data({ data, task }: Arm): Promise<Artefact<DatasetResult>> | null {
    if (!data) return null;
    const { locomotion, wheelLegged } = this.recipe;
    if (data.kind === 'wheel-legged') return wheelLeggedData(this.#stages, wheelLegged!, task!);
    return locomotionData(this.#stages, locomotion!, data.kind satisfies DatasetKind);
  }

  async train(arm: Arm): Promise<Run> {
    const place = this.#asked;
    this.#asked += 1;
    const { seeds, weights, device } = this.recipe;
    const bins = weights?.bins ?? defaultBins;
    const host = { stages: this.#stages, folder: this.#folder, seeds, bins, device };
    const run = await trainArm(host, arm, await this.#data(arm));
    const known = this.#runs.get(run.key);
    if (!known || known.place > place) this.#runs.set(run.key, { place, run });
    return run;
  }

  rollout(run: Run): Promise<Artefact<RolloutResult>> {
    return rolloutOf(this.#stages, run, this.recipe.seeds);
  }

  trials(run: Run): Promise<Artefact<TrialsResult>> {
    const { trials, trialSeconds } = this.recipe.wheelLegged!;
    return trialsOf(this.#stages, run, this.recipe.seeds, { trials, seconds: trialSeconds });
  }

  runs(): readonly Run[] {
    const found = [...this.#runs.values()].sort((a, b) => a.place - b.place);
    return found.map(({ run }) => run);
  }
}

/**
 * @param folder of the study, where trainings under way keep their states; '' for a plan
 * @throws DEVICE_UNAVAILABLE where the recipe's device is not
 */
export const openLab = (stages: Stages, recipe: Recipe, folder: string): Lab => {
  requireDevice(recipe.device);
  return new StudyLab(stages, recipe, folder);
};
