// The loss that a language model found: logistic and exponential, blended by the margin itself.
import { clampedExp, logSigmoid, sigmoid } from './math.js';
import { betaOption, pairwise } from './pairwise.js';

export const discopop = pairwise({
  name: 'discopop',
  title: 'Discovered preference optimisation (log-ratio modulated loss)',
  paper: 'Lu et al. 2024, arXiv 2406.08414, eq. 5',
  options: {
    beta: betaOption(),
    discopopTau: {
      type: 'number',
      default: 0.05,
      min: 0,
      exclusive: true,
      help: 'Temperature of the blend',
    },
  },
  loss: ({ chosen, rejected }, { beta, discopopTau: tau }) => {
    const margin = beta * (chosen.logRatio - rejected.logRatio);
    const blend = sigmoid(margin / tau);
    const rest = sigmoid(-margin / tau);
    const logistic = -logSigmoid(margin);
    const exponential = clampedExp(-margin);
    const slope =
      (blend * rest * (exponential.value - logistic)) / tau -
      rest * sigmoid(-margin) -
      blend * exponential.slope;
    return {
      loss: rest * logistic + blend * exponential.value,
      dChosen: beta * slope,
      dRejected: -beta * slope,
    };
  },
});
