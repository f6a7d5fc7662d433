// Contrastive preference optimisation: DPO with a uniform reference, and likelihood of the chosen.
import { alphaOption, alphaReward } from './alpha-reward.js';
import { smoothedLogistic } from './logistic.js';
import { optionError } from './options.js';
import { betaOption, pairwise, smoothingOption, type Side } from './pairwise.js';

type LossType = 'sigmoid' | 'hinge' | 'ipo';

/** The response's log-probability: ipo takes the mean over tokens, the others the sum. */
const logpOf = (side: Side, lossType: LossType): number =>
  lossType === 'ipo' ? side.mean : side.sum;

/** Each loss of the difference of rewards, with its derivative. */
const contrasts = {
  sigmoid: (difference: number, beta: number, smoothing: number) => {
    const { loss, slope } = smoothedLogistic(beta * difference, smoothing);
    return { loss, slope: beta * slope };
  },
  hinge: (difference: number, beta: number) => {
    const shortfall = 1 - beta * difference;
    return { loss: Math.max(0, shortfall), slope: shortfall > 0 ? -beta : 0 };
  },
  ipo: (difference: number, beta: number) => {
    const error = difference - 1 / (2 * beta);
    return { loss: error ** 2, slope: 2 * error };
  },
};

export const cpo = pairwise({
  name: 'cpo',
  title: 'Contrastive preference optimisation',
  paper: 'Xu et al. 2024, arXiv 2401.08417, eq. 3',
  options: {
    beta: { ...betaOption(), help: 'Scale of the difference of log-probabilities' },
    lossType: {
      type: 'string',
      default: 'sigmoid',
      choices: ['sigmoid', 'hinge', 'ipo'],
      help: 'Loss of the difference of log-probabilities (ipo: of their means over tokens)',
    },
    labelSmoothing: smoothingOption,
    cpoAlpha: {
      type: 'number',
      default: 1,
      min: 0,
      help: "Weight of the chosen response's mean negative log-likelihood",
    },
    alpha: alphaOption,
  },
  reference: false,
  check: ({ lossType, labelSmoothing }) => {
    if (lossType === 'sigmoid' || labelSmoothing === 0) return undefined;
    throw optionError('cpo', 'labelSmoothing', labelSmoothing, `It must be 0 with ${lossType}.`);
  },
  loss: ({ chosen, rejected }, { beta, lossType, labelSmoothing, alpha }) => {
    const better = alphaReward(logpOf(chosen, lossType), alpha);
    const worse = alphaReward(logpOf(rejected, lossType), alpha);
    const contrast = contrasts[lossType](better.value - worse.value, beta, labelSmoothing);
    const divisor = (side: Side): number => (lossType === 'ipo' ? side.length : 1);
    return {
      loss: contrast.loss,
      dChosen: (contrast.slope * better.slope) / divisor(chosen),
      dRejected: (-contrast.slope * worse.slope) / divisor(rejected),
    };
  },
  reward: (side, { beta, lossType, alpha }) =>
    beta * alphaReward(logpOf(side, lossType), alpha).value,
  logp: (side, { lossType }) => logpOf(side, lossType),
  nll: ({ cpoAlpha }) => ({ weight: cpoAlpha, over: 'response' }),
});
