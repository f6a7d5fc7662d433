// The options of ppo.ts, and which of them go together.
import { optionError, type OptionSpecs, type OptionValues } from './options.js';

export const specs = {
  klCoef: {
    type: 'number',
    default: 0.05,
    min: 0,
    help: 'Weight of the KL to the reference, taken off the reward of each token',
  },
  klEstimator: {
    type: 'string',
    default: 'k1',
    choices: ['k1', 'k3'],
    help: 'k1: log pi - log reference; k3: positive, of less variance',
  },
  klTarget: {
    type: 'number',
    default: null,
    min: 0,
    exclusive: true,
    help: 'Adapt klCoef so that the KL per response (k1, nats) stays near it; null: fixed',
  },
  klHorizon: {
    type: 'number',
    default: 10000,
    min: 0,
    exclusive: true,
    help: 'Samples over which klCoef may change by about a fifth',
  },
  cliprange: {
    type: 'number',
    default: 0.2,
    min: 0,
    help: 'Ratios beyond 1 - cliprange and 1 + cliprange earn no more',
  },
  cliprangeValue: {
    type: 'number',
    default: 0.2,
    min: 0,
    help: 'Values earn no more beyond that distance from those at sampling',
  },
  vfCoef: { type: 'number', default: 0.1, min: 0, help: 'Weight of the value loss' },
  gamma: { type: 'number', default: 1, min: 0, max: 1, help: 'Discount of later rewards' },
  lambda: {
    type: 'number',
    default: 0.95,
    min: 0,
    max: 1,
    trl: 'lam',
    help: 'Of generalised advantages: 0 trusts the critic, 1 the sampled rewards',
  },
  whitenRewards: {
    type: 'boolean',
    default: false,
    help: 'Scale token rewards to variance 1 over the batch of samples, their mean kept',
  },
  missingEosPenalty: {
    type: 'number',
    default: null,
    min: 0,
    help: 'Taken off the score of responses without an end of text',
  },
  entropyCoef: {
    type: 'number',
    default: 0,
    help: 'Weight of the mean entropy per token, taken off the loss',
  },
} as const satisfies OptionSpecs;

export type PpoOptions = OptionValues<typeof specs>;

/** OPTION_INVALID where options exclude one another. */
export const check = ({ klTarget, klCoef, klHorizon }: PpoOptions): void => {
  if (klTarget === null && klHorizon !== specs.klHorizon.default) {
    throw optionError('ppo', 'klHorizon', klHorizon, 'Only with klTarget does it do anything.');
  }
  if (klTarget !== null && klCoef === 0) {
    throw optionError('ppo', 'klCoef', klCoef, 'klTarget adapts it by factors; start above 0.');
  }
};
