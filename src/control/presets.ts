// Named settings of the learners. A preset says how large the networks are and for how long they
// learn; what belongs to another algorithm than the one asked for is left out.
import { AlignlabError } from '../errors.js';
import { didYouMean } from '../suggest.js';
import { type Algorithm, type LearnerOptions, usesDiscriminators } from './learner-options.js';

export const presetNames = ['paper', 'corrected', 'demo', 'ci'] as const;
export type PresetName = (typeof presetNames)[number];

type Shared = Pick<
  LearnerOptions,
  'hidden' | 'batch' | 'learningRate' | 'discriminator' | 'h2o' | 'cql'
>;

export interface LearnerPreset {
  readonly description: string;
  /** Updates of a full run; as many steps in the simulator. */
  readonly steps: number;
  readonly options: Shared;
}

/** As the code released with the paper; CQL's weight is that of the authors' later repository. */
const paper = {
  hidden: [256, 256],
  batch: 256,
  learningRate: 3e-4,
  discriminator: { noise: 0.1, logitScale: 2, normalize: false },
  h2o: { beta: 0.01, nextSamples: 10, nextStd: 'paper-code' },
  cql: { weight: 2, actions: 10, temperature: 1 },
} as const satisfies Shared;

const smaller = { ...paper, batch: 128, learningRate: 1e-3, cql: { ...paper.cql, weight: 5 } };

export const learnerPresets: Readonly<Record<PresetName, LearnerPreset>> = {
  paper: {
    description: 'Sizes and constants of the released code',
    steps: 1_000_000,
    options: paper,
  },
  corrected: {
    description:
      'As paper, but next states spread by the change in one step instead of by states and rows ' +
      'of zeros, and standardised discriminator inputs',
    steps: 1_000_000,
    options: {
      ...paper,
      discriminator: { ...paper.discriminator, normalize: true },
      h2o: { ...paper.h2o, nextStd: 'one-step' },
    },
  },
  demo: {
    description: 'Half the width and batch, a larger learning rate: learns in minutes',
    steps: 100_000,
    options: { ...smaller, hidden: [128, 128] },
  },
  ci: {
    description: 'A quarter of the width: enough to tell H2O from SAC under joint noise',
    steps: 30_000,
    options: { ...smaller, hidden: [64, 64] },
  },
};

/**
 * The options of a preset that act on an algorithm.
 * @throws OPTION_INVALID for a name that is not a preset
 */
export const presetOptions = (
  name: PresetName,
  algorithm: Algorithm,
): Shared & { readonly algorithm: Algorithm } => {
  if (!presetNames.includes(name)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `There is no preset "${name}".${didYouMean(name, presetNames)} ` +
        `There are ${presetNames.join(', ')}.`,
    );
  }
  const { discriminator, h2o, cql, ...common } = learnerPresets[name].options;
  return {
    algorithm,
    ...common,
    ...(usesDiscriminators(algorithm) && discriminator ? { discriminator } : {}),
    ...(algorithm === 'h2o' && h2o ? { h2o } : {}),
    ...(algorithm === 'cql' && cql ? { cql } : {}),
  };
};
