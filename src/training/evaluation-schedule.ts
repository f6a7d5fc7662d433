// At which steps of a run something happens: evaluations, checkpoints. Pure lists, so that a resumed
// run meets the same steps.
import { AlignlabError } from '../errors.js';

export interface LogLinear {
  /** Steps for each tenfold, evenly spaced on a logarithmic axis from step 1: default 4. */
  readonly perDecade?: number;
  /** Where the spacing becomes linear. Default: never. */
  readonly until?: number;
  /** Spacing after `until`; default: the last logarithmic one. */
  readonly every?: number;
}

/**
 * A number: every n-th step; below 1, a share of the run, rounded up (transformers' eval_steps). A
 * list: these steps. An object: dense at the start, where KL moves fast, then linear.
 */
export type StepPlan = number | readonly number[] | LogLinear;

export interface PlanOptions {
  /** Also before the first step: step 0. */
  readonly atStart?: boolean;
  /** Also after the last step. */
  readonly atEnd?: boolean;
}

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 1;

const multiples = (every: number, from: number, steps: number): number[] => {
  const count = Math.max(0, Math.floor((steps - from) / every));
  return Array.from({ length: count }, (_, i) => from + (i + 1) * every);
};

const everyNth = (plan: number, steps: number): number[] => {
  const every = plan > 0 && plan < 1 ? Math.ceil(plan * steps) : plan;
  if (isCount(every)) return multiples(every, 0, steps);
  return refuse(
    `A spacing must be a whole number of steps, or a share of the run below 1, got ${String(plan)}.`,
  );
};

const logLinear = ({ perDecade = 4, until, every }: LogLinear, steps: number): number[] => {
  if (!isCount(perDecade)) refuse(`perDecade must be 1 or more, got ${String(perDecade)}.`);
  if (until !== undefined && !isCount(until)) refuse(`until must be a step, got ${String(until)}.`);
  if (every !== undefined && !isCount(every)) {
    refuse(`every must be a whole number of steps, got ${String(every)}.`);
  }
  const end = Math.min(until ?? steps, steps);
  const logarithmic: number[] = [];
  for (let i = 0; ; i += 1) {
    const step = Math.round(10 ** (i / perDecade));
    if (step > end) break;
    if (step !== logarithmic.at(-1)) logarithmic.push(step);
  }
  if (until === undefined) {
    if (every === undefined) return logarithmic;
    return refuse('A log-linear plan with "every" needs "until", where the linear part begins.');
  }
  const last = logarithmic.at(-1) ?? 0;
  const spacing = every ?? Math.max(1, last - (logarithmic.at(-2) ?? 0));
  return [...logarithmic, ...multiples(spacing, end, steps)];
};

const listed = (plan: readonly number[]): readonly number[] => {
  const bad = plan.find((step) => !Number.isSafeInteger(step) || step < 0);
  if (bad === undefined) return plan;
  return refuse(`Steps must be whole numbers from 0, got ${String(bad)}.`);
};

/** The steps of a run of so many, ascending, each once. */
export const plannedSteps = (
  plan: StepPlan,
  steps: number,
  { atStart = false, atEnd = false }: PlanOptions = {},
): readonly number[] => {
  if (!Number.isSafeInteger(steps) || steps < 0) {
    refuse(`A plan needs the number of steps of the run, got ${String(steps)}.`);
  }
  const inner =
    typeof plan === 'number'
      ? everyNth(plan, steps)
      : plan instanceof Array
        ? listed(plan)
        : logLinear(plan, steps);
  const all = new Set([...(atStart ? [0] : []), ...inner, ...(atEnd ? [steps] : [])]);
  return [...all].filter((step) => step <= steps).sort((a, b) => a - b);
};
