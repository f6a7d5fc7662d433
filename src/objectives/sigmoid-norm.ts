// DPO on log-ratios per token, so that length does not count as preference.
import { smoothedLogistic } from './logistic.js';
import { betaOption, pairwise, smoothingOption } from './pairwise.js';

export const sigmoidNorm = pairwise({
  name: 'sigmoid-norm',
  title: 'Length-normalised DPO',
  paper: 'Lambert et al. 2024 (Tulu 3), arXiv 2411.15124',
  options: { beta: betaOption(), labelSmoothing: smoothingOption },
  loss: ({ chosen, rejected }, { beta, labelSmoothing }) => {
    const gap = chosen.logRatio / chosen.length - rejected.logRatio / rejected.length;
    const { loss, slope } = smoothedLogistic(beta * gap, labelSmoothing);
    return {
      loss,
      dChosen: (beta * slope) / chosen.length,
      dRejected: (-beta * slope) / rejected.length,
    };
  },
});
