// An arm: an algorithm that learns under a gap, for all seeds at once.
import {
  type Algorithm,
  type DatasetKind,
  type DynamicsGap,
  type EnvId,
  type H2oOptions,
  usesDiscriminators,
} from '../../control/index.js';
import {
  type GapName,
  type LearnerChanges,
  type Plan,
  type Recipe,
  type Sizes,
  type Task,
  gaps,
} from './recipe.js';

/** What of the changes the algorithm has a use for; others it would refuse. */
export const changesFor = (
  algorithm: Algorithm,
  { discriminator, ...others }: LearnerChanges,
): LearnerChanges =>
  discriminator && usesDiscriminators(algorithm) ? { ...others, discriminator } : others;

/** Data of the real system: its kind, and the part of it that is used. */
export interface DataChoice {
  readonly kind: DatasetKind | 'wheel-legged';
  /** Default all. */
  readonly fraction?: number;
}

export interface Arm {
  /** 'H2O, joint noise' */
  readonly name: string;
  readonly algorithm: Algorithm;
  readonly h2o?: H2oOptions;
  readonly env: EnvId;
  readonly task?: Task;
  /** Steps of the physics for which an action is held; default as the environment has it. */
  readonly actionRepeat?: number;
  readonly learner?: LearnerChanges;
  readonly real: DynamicsGap;
  readonly sim: DynamicsGap;
  /** Null for SAC in the simulator. */
  readonly data: DataChoice | null;
  readonly sizes: Sizes;
  readonly plan: Plan;
}

export const algorithmNames: Readonly<Record<Algorithm, string>> = {
  h2o: 'H2O',
  sac: 'SAC in the simulator',
  mix: 'mixture',
  darc: 'DARC',
  'darc+': 'DARC+',
  cql: 'CQL, real data alone',
};

export interface ArmChanges {
  readonly variant?: string;
  readonly h2o?: H2oOptions;
  readonly plan?: Plan;
  readonly sizes?: Sizes;
  readonly fraction?: number;
  readonly kind?: DatasetKind;
}

/**
 * What tells an arm from the cell's of the same algorithm, to be added to its name: two runs of one
 * name could not be told apart in points.csv.
 */
export const apartFromCell = (
  { locomotion }: Recipe,
  gap: GapName,
  { plan, sizes }: Pick<ArmChanges, 'plan' | 'sizes'>,
): string => {
  const { sizes: usual, cells } = locomotion!;
  const hidden = sizes?.hidden.join('-') ?? '';
  return [
    ...(sizes && hidden !== usual.hidden.join('-') ? [`, ${hidden}`] : []),
    ...(plan && plan.steps !== cells[gap]!.plan.steps ? [`, ${plan.steps} updates`] : []),
  ].join('');
};

/** The arm of an algorithm under a gap of the locomotion task. */
export const cellArm = (
  recipe: Recipe,
  gap: GapName,
  algorithm: Algorithm,
  changes: ArmChanges = {},
): Arm => {
  const { env, sizes, data, cells } = recipe.locomotion!;
  const { variant = algorithmNames[algorithm], fraction, kind = data.kinds[0]! } = changes;
  const other = kind === data.kinds[0] ? '' : `, ${kind}`;
  const part = fraction === undefined || fraction === 1 ? '' : `, ${100 * fraction} % of the data`;
  return {
    name: `${variant}, ${gap === 'none' ? 'no gap' : gap}${other}${part}`,
    algorithm,
    ...(changes.h2o ? { h2o: changes.h2o } : {}),
    env,
    real: {},
    // CQL sees no simulator: its arm is one whatever the gap.
    sim: algorithm === 'cql' ? {} : gaps[gap],
    data: algorithm === 'sac' ? null : { kind, ...(part === '' ? {} : { fraction: fraction! }) },
    sizes: changes.sizes ?? sizes,
    plan: changes.plan ?? cells[gap]!.plan,
  };
};
