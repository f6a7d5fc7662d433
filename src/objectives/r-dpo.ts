// DPO under a reward from which the length of the response is subtracted.
import { smoothedLogistic } from './logistic.js';
import { betaOption, pairwise, smoothingOption } from './pairwise.js';

export const rDpo = pairwise({
  name: 'r-dpo',
  title: 'Length-regularised DPO',
  paper: 'Park et al. 2024, arXiv 2403.19159',
  options: {
    beta: betaOption(),
    alpha: {
      type: 'number',
      default: 0.01,
      min: 0,
      help: 'Reward that one more token costs; 0 is DPO',
    },
    labelSmoothing: smoothingOption,
  },
  startKnown: false,
  // The best policy for r - alpha |y| has r = beta log-ratio + alpha |y| + const: a longer chosen
  // response has part of its margin already, and is pushed less.
  loss: ({ chosen, rejected }, { beta, alpha, labelSmoothing }) => {
    const margin =
      beta * (chosen.logRatio - rejected.logRatio) + alpha * (chosen.length - rejected.length);
    const { loss, slope } = smoothedLogistic(margin, labelSmoothing);
    return { loss, dChosen: beta * slope, dRejected: -beta * slope };
  },
});
