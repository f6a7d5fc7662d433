// Sequence likelihood calibration: a rank hinge on log-probabilities, and likelihood of the chosen.
import { pairwise } from './pairwise.js';

export const slic = pairwise({
  name: 'slic',
  title: 'Sequence likelihood calibration (SLiC-HF)',
  paper: 'Zhao et al. 2023, arXiv 2305.10425',
  options: {
    delta: { type: 'number', default: 1, min: 0, help: 'Margin of the log-probabilities, in nats' },
    lambda: {
      type: 'number',
      default: 0.1,
      min: 0,
      help: "Weight of the chosen response's negative log-likelihood (summed over tokens)",
    },
  },
  reference: false,
  loss: ({ chosen, rejected }, { delta, lambda }) => {
    const shortfall = delta - chosen.sum + rejected.sum;
    const slope = shortfall > 0 ? 1 : 0;
    return {
      loss: Math.max(0, shortfall) - lambda * chosen.sum,
      dChosen: -slope - lambda,
      dRejected: slope,
      metrics: { nll_loss: -chosen.sum },
    };
  },
});
