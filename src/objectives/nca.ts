// Noise contrastive alignment on pairs: absolute likelihoods, not only their difference.
import { logSigmoid, sigmoid } from './math.js';
import { betaOption, pairwise } from './pairwise.js';

export const nca = pairwise({
  name: 'nca',
  title: 'Noise contrastive alignment on pairs',
  paper: 'Chen et al. 2024, arXiv 2402.05369, with two responses',
  options: { beta: betaOption() },
  loss: ({ chosen, rejected }, { beta }) => {
    const [better, worse] = [beta * chosen.logRatio, beta * rejected.logRatio];
    return {
      loss: -logSigmoid(better) - 0.5 * logSigmoid(-better) - 0.5 * logSigmoid(-worse),
      dChosen: beta * (0.5 * sigmoid(better) - sigmoid(-better)),
      dRejected: beta * 0.5 * sigmoid(worse),
    };
  },
});
