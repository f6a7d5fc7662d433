// Odds ratio preference optimisation: likelihood of the chosen, and its odds against the rejected.
import { log1mexp, logSigmoid, sigmoid } from './math.js';
import { betaOption, pairwise } from './pairwise.js';

// A mean log-probability of exactly 0, which float32 can round to, has infinite odds.
const mostCertain = -1e-12;

/** log(p / (1 - p)) of log p, and its derivative 1 / (1 - p). */
const logOdds = (logp: number): { value: number; slope: number } => {
  const bounded = Math.min(logp, mostCertain);
  return { value: bounded - log1mexp(bounded), slope: -1 / Math.expm1(bounded) };
};

export const orpo = pairwise({
  name: 'orpo',
  title: 'Odds ratio preference optimisation',
  paper: 'Hong et al. 2024, arXiv 2403.07691, eq. 6 and 7',
  options: {
    beta: {
      ...betaOption(),
      min: 0,
      exclusive: true,
      help: "The paper's lambda: weight of the odds",
    },
    nll: {
      type: 'string',
      default: 'sequence',
      choices: ['sequence', 'response'],
      help: 'Tokens of the likelihood term: prompt and chosen response, as in TRL, or the latter',
    },
  },
  reference: false,
  loss: ({ chosen, rejected }, { beta }) => {
    const [better, worse] = [logOdds(chosen.mean), logOdds(rejected.mean)];
    const difference = better.value - worse.value;
    const slope = -beta * sigmoid(-difference);
    return {
      loss: -beta * logSigmoid(difference),
      dChosen: (slope * better.slope) / chosen.length,
      dRejected: (-slope * worse.slope) / rejected.length,
      metrics: { log_odds_ratio: logSigmoid(difference), log_odds_chosen: difference },
    };
  },
  reward: (side, { beta }) => beta * side.mean,
  logp: (side) => side.mean,
  nll: ({ nll }) => ({ weight: 1, over: nll }),
});
