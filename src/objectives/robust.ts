// DPO that is unbiased under labels flipped with a known probability.
import { logSigmoid, sigmoid } from './math.js';
import { optionError } from './options.js';
import { betaOption, pairwise, smoothingOption } from './pairwise.js';

export const robust = pairwise({
  name: 'robust',
  title: 'Robust DPO',
  paper: 'Chowdhury et al. 2024, arXiv 2403.00409',
  options: { beta: betaOption(), labelSmoothing: { ...smoothingOption, default: 0.1 } },
  check: ({ labelSmoothing }) => {
    if (labelSmoothing < 0.5) return undefined;
    const wayOut = 'It must be below 0.5: labels that are pure chance say nothing.';
    throw optionError('robust', 'labelSmoothing', labelSmoothing, wayOut);
  },
  loss: ({ chosen, rejected }, { beta, labelSmoothing: e }) => {
    const margin = beta * (chosen.logRatio - rejected.logRatio);
    const slope = (-beta * ((1 - e) * sigmoid(-margin) + e * sigmoid(margin))) / (1 - 2 * e);
    return {
      loss: (-(1 - e) * logSigmoid(margin) + e * logSigmoid(-margin)) / (1 - 2 * e),
      dChosen: slope,
      dRejected: -slope,
    };
  },
});
