// Efficient exact optimisation on pairs: reverse KL from the policy's preference to the label's.
import { logSigmoid, sigmoid } from './math.js';
import { betaOption, pairwise } from './pairwise.js';

export const exo = pairwise({
  name: 'exo',
  title: 'Efficient exact optimisation (EXO-pref)',
  paper: 'Ji et al. 2024, arXiv 2402.00856, eq. 16',
  options: {
    beta: betaOption(),
    labelSmoothing: {
      type: 'number',
      default: 0.001,
      min: 0,
      max: 0.5,
      exclusive: true,
      help: 'Probability that the label gives to the rejected response',
    },
  },
  // KL(q || p), q = (sigmoid(m), sigmoid(-m)), p = (1 - e, e); its derivative by m is
  // q_w q_l (log q_w/p_w - log q_l/p_l), the terms of d(log q) cancelling.
  loss: ({ chosen, rejected }, { beta, labelSmoothing }) => {
    const margin = beta * (chosen.logRatio - rejected.logRatio);
    const [winner, loser] = [sigmoid(margin), sigmoid(-margin)];
    const onWinner = logSigmoid(margin) - Math.log1p(-labelSmoothing);
    const onLoser = logSigmoid(-margin) - Math.log(labelSmoothing);
    const slope = beta * winner * loser * (onWinner - onLoser);
    return { loss: winner * onWinner + loser * onLoser, dChosen: slope, dRejected: -slope };
  },
});
