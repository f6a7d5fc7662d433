// Supervised fine-tuning: maximum likelihood of responses.
import { AlignlabError } from '../errors.js';
import { defineObjective } from './define.js';
import { negativeLogLikelihood, normalizationOption } from './likelihood.js';

export const sft = defineObjective({
  name: 'sft',
  title: 'Supervised fine-tuning',
  paper: 'Ouyang et al. 2022, arXiv 2203.02155',
  source: 'dataset',
  options: {
    targets: {
      type: 'string',
      default: 'chosen',
      choices: ['chosen', 'rejected', 'both'],
      help: 'Responses of a pair that are learnt',
    },
    normalization: normalizationOption,
    includePrompt: {
      type: 'boolean',
      default: false,
      help: "Learn the prompt's tokens too (TRL: the opposite of completion_only_loss)",
    },
  },
  make: (options) => ({
    rows: ['pair', 'completion'],
    needs: options.includePrompt ? { promptLogProbs: true } : {},
    evaluate: (rows, totals) => {
      if (options.targets !== 'chosen' && rows.some(({ kind }) => kind === 'completion')) {
        throw new AlignlabError(
          'OPTION_INVALID',
          `The option "targets" of sft is ${options.targets}, but there are single completions ` +
            'among the rows, and all of them are learnt. Leave it out, or give pairs only.',
        );
      }
      return negativeLogLikelihood(rows, totals, options);
    },
  }),
});
