// Learning-rate schedules: pure functions of the step, with the factors of transformers'
// get_scheduler, so that a resumed run needs no state for them.
import { AlignlabError } from '../errors.js';
import { type OptionNames, refuseUnknown } from '../options.js';

/** Names of transformers' lr_scheduler_type. */
export const scheduleTypes = [
  'constant',
  'constant_with_warmup',
  'linear',
  'cosine',
  'cosine_with_restarts',
  'cosine_with_min_lr',
] as const;

export type ScheduleType = (typeof scheduleTypes)[number];

export interface ScheduleOptions {
  /** Default 'linear', as in transformers. */
  readonly type?: ScheduleType;
  /** Steps of linear warm-up from 0; a number below 1 is a share of all steps, rounded up. */
  readonly warmupSteps?: number;
  /** The same as a share of all steps; one of the two. */
  readonly warmupRatio?: number;
  /** Waves of 'cosine' and 'cosine_with_min_lr' (default 1/2), restarts of the other (1). */
  readonly numCycles?: number;
  /** Where 'cosine_with_min_lr' ends, or as a share of the learning rate; one of the two. */
  readonly minLearningRate?: number;
  readonly minLearningRateRatio?: number;
}

const known: OptionNames<ScheduleOptions> = {
  type: true,
  warmupSteps: true,
  warmupRatio: true,
  numCycles: true,
  minLearningRate: true,
  minLearningRateRatio: true,
};

/** The learning rate of each optimiser step, the first being step 1. */
export type Schedule = (step: number) => number;

interface Settings {
  readonly type: ScheduleType;
  readonly steps: number;
  readonly warmup: number;
  readonly cycles: number;
  readonly floor: number;
}

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

const warmupOf = ({ warmupSteps, warmupRatio }: ScheduleOptions, steps: number): number => {
  if (warmupSteps && warmupRatio) {
    refuse(`warmupSteps is ${warmupSteps} and warmupRatio ${warmupRatio}. Give one of them.`);
  }
  const whole = warmupSteps ?? 0;
  const ratio = warmupRatio ?? 0;
  if (!(ratio >= 0 && ratio <= 1)) {
    refuse(`warmupRatio must be a share of all steps, from 0 to 1, got ${String(warmupRatio)}.`);
  }
  if (!(whole >= 0) || (whole >= 1 && !Number.isSafeInteger(whole))) {
    refuse(
      'warmupSteps must be a whole number of steps, or a share of all steps below 1, ' +
        `got ${String(warmupSteps)}.`,
    );
  }
  return whole >= 1 ? whole : Math.ceil(steps * (whole || ratio));
};

const cyclesOf = (type: ScheduleType, numCycles: number | undefined): number => {
  if (numCycles === undefined) return type === 'cosine_with_restarts' ? 1 : 0.5;
  if (!type.startsWith('cosine')) {
    refuse(`numCycles has no meaning for the schedule '${type}'. Leave it out, or use a cosine.`);
  }
  if (!(numCycles > 0 && Number.isFinite(numCycles))) {
    refuse(`numCycles must be a number above 0, got ${String(numCycles)}.`);
  }
  return numCycles;
};

const floorOf = (
  type: ScheduleType,
  { minLearningRate, minLearningRateRatio }: ScheduleOptions,
  learningRate: number,
): number => {
  const given = [minLearningRate, minLearningRateRatio].filter((value) => value !== undefined);
  if (type !== 'cosine_with_min_lr') {
    if (given.length === 0) return 0;
    return refuse(
      `A minimum learning rate needs the schedule 'cosine_with_min_lr', not '${type}'.`,
    );
  }
  if (given.length !== 1) {
    refuse("The schedule 'cosine_with_min_lr' needs one of minLearningRate, minLearningRateRatio.");
  }
  const ratio = minLearningRateRatio ?? (minLearningRate ?? 0) / learningRate;
  if (ratio >= 0 && ratio <= 1) return ratio;
  return refuse(`The minimum learning rate must lie between 0 and ${learningRate}.`);
};

const factor = ({ type, steps, warmup, cycles, floor }: Settings, done: number): number => {
  if (type === 'constant') return 1;
  if (done < warmup) return done / Math.max(1, warmup);
  if (type === 'constant_with_warmup') return 1;
  const left = Math.max(1, steps - warmup);
  if (type === 'linear') return Math.max(0, (steps - done) / left);
  const progress = (done - warmup) / left;
  if (type === 'cosine_with_restarts') {
    if (progress >= 1) return 0;
    return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((cycles * progress) % 1))));
  }
  const wave = 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress));
  return Math.max(0, wave * (1 - floor) + floor);
};

/**
 * The learning rate by step. Step 1 takes the schedule's factor at 0, as transformers' Trainer does:
 * with a warm-up the first step has learning rate 0. `steps` is the length of the whole run; what
 * does not need it, the constant ones with warm-up in steps, takes Infinity.
 */
export const learningRateSchedule = (
  learningRate: number,
  steps: number,
  options: ScheduleOptions = {},
): Schedule => {
  const { type = 'linear' } = options;
  refuseUnknown('The schedule', options, known);
  if (!scheduleTypes.includes(type)) {
    refuse(`The schedule must be one of ${scheduleTypes.join(', ')}; got "${type}".`);
  }
  if (!(learningRate >= 0 && Number.isFinite(learningRate))) {
    refuse(`learningRate must be 0 or more, got ${String(learningRate)}.`);
  }
  const share = (options.warmupSteps ?? 0) % 1 !== 0 || Boolean(options.warmupRatio);
  const needsSteps = !type.startsWith('constant') || share;
  if (!(steps >= 0) || (needsSteps ? !Number.isSafeInteger(steps) : Number.isNaN(steps))) {
    refuse(`The schedule '${type}' needs the number of steps of the run, got ${String(steps)}.`);
  }
  const warmup = share || options.warmupSteps ? warmupOf(options, steps) : warmupOf(options, 0);
  if (type === 'constant' && warmup > 0) {
    refuse("The schedule 'constant' has no warm-up. Use 'constant_with_warmup'.");
  }
  const cycles = cyclesOf(type, options.numCycles);
  const floor = floorOf(type, options, learningRate);
  const settings: Settings = { type, steps, warmup, cycles, floor };
  return (step) => learningRate * factor(settings, step - 1);
};
