// AdamW's options at each step: the policy's and the critic's learning rates follow one schedule.
import type { AdamWOptions } from '../engine/optimizer.js';
import type { Settings } from './options.js';
import { type ScheduleOptions, learningRateSchedule } from './schedule.js';

export interface Rates {
  /** The policy's learning rate at a step; the first is 1. */
  policy(step: number): number;
  of(optimizer: AdamWOptions, step: number): AdamWOptions;
}

export const defaultSchedule = (steps: number): ScheduleOptions => ({
  type: steps === Infinity ? 'constant' : 'linear',
});

export const learningRates = ({ schedule, steps, optimizer, critic }: Settings): Rates => {
  const by = ({ learningRate }: AdamWOptions): ((step: number) => number) =>
    typeof schedule === 'function'
      ? (step) => learningRate * schedule(step)
      : learningRateSchedule(learningRate, steps, schedule ?? defaultSchedule(steps));
  const policy = by(optimizer);
  const ofCritic = critic?.optimizer ? by(critic.optimizer) : policy;
  return {
    policy,
    of: (given, step) => {
      const { learningRate: _, name: __, ...rest } = { name: '', ...given };
      return { ...rest, learningRate: (given === critic?.optimizer ? ofCritic : policy)(step) };
    },
  };
};
