// Simple preference optimisation: mean log-probability as reward, a target margin, no reference.
import { alphaOption, alphaReward } from './alpha-reward.js';
import { smoothedLogistic } from './logistic.js';
import { betaOption, pairwise, smoothingOption } from './pairwise.js';

export const simpo = pairwise({
  name: 'simpo',
  title: 'Simple preference optimisation',
  paper: 'Meng et al. 2024, arXiv 2405.14734, eq. 6; with NLL: CPO-SimPO',
  options: {
    beta: { ...betaOption(2), help: 'Scale of the mean log-probabilities (2 to 10 in the paper)' },
    simpoGamma: {
      type: 'number',
      default: 1,
      help: 'Target margin of the rewards; the paper tunes its ratio to beta, about 0.5',
    },
    labelSmoothing: smoothingOption,
    cpoAlpha: {
      type: 'number',
      default: 0,
      min: 0,
      help: "Weight of the chosen response's mean negative log-likelihood (TRL: 1 by default)",
    },
    alpha: alphaOption,
  },
  reference: false,
  loss: ({ chosen, rejected }, { beta, simpoGamma, labelSmoothing, alpha }) => {
    const [better, worse] = [alphaReward(chosen.mean, alpha), alphaReward(rejected.mean, alpha)];
    const margin = beta * (better.value - worse.value) - simpoGamma;
    const { loss, slope } = smoothedLogistic(margin, labelSmoothing);
    return {
      loss,
      dChosen: (beta * slope * better.slope) / chosen.length,
      dRejected: (-beta * slope * worse.slope) / rejected.length,
    };
  },
  reward: (side, { beta, alpha }) => beta * alphaReward(side.mean, alpha).value,
  logp: (side) => side.mean,
  nll: ({ cpoAlpha }) => ({ weight: cpoAlpha, over: 'response' }),
});
