// Anchored preference optimisation: says where the likelihoods go, not only their difference.
import { sigmoid } from './math.js';
import { betaOption, pairwise } from './pairwise.js';

/** Derivative of sigmoid, written so that it does not vanish to NaN at the extremes. */
const bump = (x: number): number => sigmoid(x) * sigmoid(-x);

export const apoZero = pairwise({
  name: 'apo-zero',
  title: 'Anchored preference optimisation, chosen up and rejected down',
  paper: "D'Oosterlinck et al. 2024, arXiv 2408.06266, eq. 7",
  options: { beta: betaOption() },
  loss: ({ chosen, rejected }, { beta }) => {
    const [better, worse] = [beta * chosen.logRatio, beta * rejected.logRatio];
    return {
      loss: sigmoid(-better) + sigmoid(worse),
      dChosen: -beta * bump(better),
      dRejected: beta * bump(worse),
    };
  },
});

export const apoDown = pairwise({
  name: 'apo-down',
  title: 'Anchored preference optimisation, both down and rejected more',
  paper: "D'Oosterlinck et al. 2024, arXiv 2408.06266, eq. 8",
  options: { beta: betaOption() },
  loss: ({ chosen, rejected }, { beta }) => {
    const better = beta * chosen.logRatio;
    const margin = better - beta * rejected.logRatio;
    return {
      loss: sigmoid(better) + sigmoid(-margin),
      dChosen: beta * (bump(better) - bump(margin)),
      dRejected: beta * bump(margin),
    };
  },
});
