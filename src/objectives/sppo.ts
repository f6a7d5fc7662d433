// Self-play preference optimisation with hard labels: each log-ratio has its own target.
import { betaOption, pairwise } from './pairwise.js';

export const sppo = pairwise({
  name: 'sppo',
  title: 'Self-play preference optimisation, hard labels',
  paper: 'Wu et al. 2024, arXiv 2405.00675, eq. 4.7 with P = 1 for the winner and 0 for the loser',
  options: { beta: betaOption() },
  loss: ({ chosen, rejected }, { beta }) => {
    const onChosen = chosen.logRatio - 0.5 / beta;
    const onRejected = rejected.logRatio + 0.5 / beta;
    return {
      loss: onChosen ** 2 + onRejected ** 2,
      dChosen: 2 * onChosen,
      dRejected: 2 * onRejected,
    };
  },
});
