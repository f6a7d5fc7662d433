// Best-of-2: supervised fine-tuning on the preferred response of each pair.
import { defineObjective } from './define.js';
import { negativeLogLikelihood, normalizationOption } from './likelihood.js';

export const bo2 = defineObjective({
  name: 'bo2',
  title: 'Best-of-2: fine-tuning on the preferred response',
  paper: 'Tang et al. 2024, arXiv 2405.08448, eq. 3 (with the sign that its text means)',
  source: 'dataset',
  options: { normalization: normalizationOption },
  make: ({ normalization }) => ({
    rows: ['pair'],
    needs: {},
    evaluate: (rows, totals) =>
      negativeLogLikelihood(rows, totals, {
        targets: 'chosen',
        normalization,
        includePrompt: false,
      }),
  }),
});
