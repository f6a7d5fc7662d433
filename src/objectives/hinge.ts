// The hinge loss on the margin of implicit rewards.
import { betaOption, pairwise } from './pairwise.js';

export const hinge = pairwise({
  name: 'hinge',
  title: 'Hinge loss on log-ratios (SLiC normalised by a reference)',
  paper: 'Liu et al. 2023 (RSO), arXiv 2309.06657; Zhao et al. 2023, arXiv 2305.10425',
  options: { beta: betaOption() },
  loss: ({ chosen, rejected }, { beta }) => {
    const shortfall = 1 - beta * (chosen.logRatio - rejected.logRatio);
    const slope = shortfall > 0 ? beta : 0;
    return { loss: Math.max(0, shortfall), dChosen: -slope, dRejected: slope };
  },
});
