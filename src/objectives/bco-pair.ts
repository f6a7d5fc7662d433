// Binary classifier optimisation on pairs: each response classified for itself.
import { logSigmoid, sigmoid } from './math.js';
import { betaOption, pairwise } from './pairwise.js';

export const bcoPair = pairwise({
  name: 'bco-pair',
  title: 'Binary classifier optimisation on pairs, without reward shift',
  paper: 'Jung et al. 2024, arXiv 2404.04656, with delta = 0',
  options: { beta: betaOption() },
  loss: ({ chosen, rejected }, { beta }) => {
    const [better, worse] = [beta * chosen.logRatio, beta * rejected.logRatio];
    return {
      loss: -logSigmoid(better) - logSigmoid(-worse),
      dChosen: -beta * sigmoid(-better),
      dRejected: beta * sigmoid(worse),
    };
  },
});
