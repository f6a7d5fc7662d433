// What a user may change of the arms: one number each, and the sweeps around it keep their ratios.
import { show } from '../../checkpoint/json.js';
import { AlignlabError } from '../../errors.js';
import { requireWhole } from '../../options.js';
import type { Recipe } from './recipe.js';

export interface ArmChanges {
  /** Of the baseline; those of the sweeps are multiplied alike. */
  readonly learningRate?: number;
  readonly beta?: number;
  /** Of each arm; evaluations, windows and renewals move with them. */
  readonly steps?: number;
  readonly batchSize?: number;
  readonly maxNewTokens?: number;
}

const check = ({ learningRate, beta, steps, batchSize, maxNewTokens }: ArmChanges): void => {
  for (const [name, value] of Object.entries({ learningRate, beta })) {
    if (value === undefined || (value > 0 && value < Infinity)) continue;
    throw new AlignlabError('OPTION_INVALID', `${name} must be above 0, got ${show(value)}.`);
  }
  for (const [name, value] of Object.entries({ steps, batchSize, maxNewTokens })) {
    if (value !== undefined) requireWhole(name, value);
  }
};

/** Twelve digits: the baseline must be found again among the multiples. */
const rounded = (value: number): number => Number(value.toPrecision(12));

const times = (values: readonly number[], factor: number): number[] =>
  values.map((value) => rounded(value * factor));

const wholeTimes = (values: readonly number[], factor: number, least: number): number[] => [
  ...new Set(values.map((value) => Math.max(least, Math.round(value * factor)))),
];

/** Throws OPTION_INVALID. */
export const withArm = (recipe: Recipe, changes: ArmChanges): Recipe => {
  check(changes);
  const { arm, offline, evaluation, weakBeta, trust } = recipe;
  const { batchSize = arm.batchSize, steps = arm.steps } = changes;
  const learningRate = rounded(changes.learningRate ?? arm.learningRate);
  const beta = rounded(changes.beta ?? arm.beta);
  const [rate, weight] = [learningRate / arm.learningRate, beta / arm.beta];
  const length = steps / arm.steps;
  const rates = (values: readonly number[]) => ({ learningRates: times(values, rate) });
  return {
    ...recipe,
    maxNewTokens: changes.maxNewTokens ?? recipe.maxNewTokens,
    arm: { steps, batchSize, learningRate, beta },
    offline: { ...offline, ...rates(offline.learningRates), betas: times(offline.betas, weight) },
    shuffled: rates(recipe.shuffled.learningRates),
    endVersusEnd: rates(recipe.endVersusEnd.learningRates),
    weakBeta: weakBeta === null ? null : rounded(weakBeta * weight),
    trust: trust && { ...trust, beta: rounded(trust.beta * weight) },
    windows: wholeTimes(recipe.windows, length, 2),
    syncEvery: wholeTimes(recipe.syncEvery, length, 2),
    evaluation: { ...evaluation, steps: wholeTimes(evaluation.steps, length, 1) },
  };
};
