// Identity preference optimisation: a squared loss on the gap of the log-ratios.
import { betaOption, pairwise, type Side } from './pairwise.js';

export const ipo = pairwise({
  name: 'ipo',
  title: 'Identity preference optimisation',
  paper: 'Azar et al. 2023, arXiv 2310.12036, eq. 17',
  options: {
    beta: betaOption(),
    reduction: {
      type: 'string',
      default: 'sum',
      choices: ['sum', 'mean'],
      help: "Log-ratio of a response: over its tokens' sum, as in the papers, or mean, as in TRL",
    },
    scale: {
      type: 'string',
      default: 'gap',
      choices: ['gap', 'paper'],
      help: 'gap: (D - 1/(2 beta))^2; paper: (beta D - 1/2)^2, which is beta^2 times that',
    },
  },
  loss: ({ chosen, rejected }, { beta, reduction, scale }) => {
    const divisor = (side: Side): number => (reduction === 'mean' ? side.length : 1);
    const gap = chosen.logRatio / divisor(chosen) - rejected.logRatio / divisor(rejected);
    const factor = scale === 'paper' ? beta ** 2 : 1;
    const error = gap - 1 / (2 * beta);
    const slope = 2 * factor * error;
    return {
      loss: factor * error ** 2,
      dChosen: slope / divisor(chosen),
      dRejected: -slope / divisor(rejected),
    };
  },
});
