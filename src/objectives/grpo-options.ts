// The options of grpo.ts, and which of them go together.
import { epsilonHighOption, epsilonOption } from './surrogate.js';
import { optionError, type OptionSpecs, type OptionValues } from './options.js';

const specs = {
  beta: {
    type: 'number',
    default: 0,
    min: 0,
    help: 'Weight of the KL to the reference in the loss (k3 at each token)',
  },
  epsilon: epsilonOption,
  epsilonHigh: {
    ...epsilonHighOption,
    help: `${epsilonHighOption.help}. Of cispo: the cap of the ratio itself`,
  },
  delta: {
    type: 'number',
    default: null,
    help: 'Cap of the ratio whatever the sign of the advantage, above 1 + epsilonHigh',
  },
  lossType: {
    type: 'string',
    default: 'dapo',
    choices: ['grpo', 'dr_grpo', 'dapo', 'cispo'],
    help:
      'grpo: mean over responses of token means; dapo, cispo: mean over the tokens of the step ' +
      '(bnpo of TRL, without its dependence on micro-batches); dr_grpo: token sums over responses and maxCompletionLength',
  },
  maxCompletionLength: {
    type: 'number',
    default: null,
    min: 1,
    help: 'The divisor of dr_grpo, which needs it: the limit that the samples were drawn with',
  },
  importanceSamplingLevel: {
    type: 'string',
    default: 'token',
    choices: ['token', 'sequence'],
    help: 'A ratio for each token, or their geometric mean over the response (GSPO)',
  },
  scaleRewards: {
    type: 'string',
    default: 'group',
    choices: ['group', 'batch', 'none'],
    help: "Divide advantages by the deviation of the prompt's rewards, of all rewards, or not",
  },
  ddof: {
    type: 'number',
    default: 1,
    min: 0,
    max: 1,
    help: 'Divisor n - ddof in that deviation: 1 in TRL, OpenRLHF and verl, 0 in HALOs',
  },
  maskTruncatedCompletions: {
    type: 'boolean',
    default: false,
    help: 'Leave responses without an end of text out of the loss and of its token count',
  },
  entropyCoef: {
    type: 'number',
    default: 0,
    help: 'Weight of the mean entropy per token, taken off the loss',
  },
} as const satisfies OptionSpecs;

export type GrpoOptions = OptionValues<typeof specs>;

const refuse = (option: keyof GrpoOptions, options: GrpoOptions, wayOut: string): never => {
  throw optionError('grpo', option, options[option], wayOut);
};

/** OPTION_INVALID where options exclude one another. */
const check = (options: GrpoOptions): void => {
  const { lossType, epsilon, epsilonHigh, delta, ddof, maxCompletionLength, scaleRewards } =
    options;
  if (!Number.isInteger(ddof)) refuse('ddof', options, 'It must be 0 or 1.');
  if (ddof !== 1 && scaleRewards === 'none') {
    refuse('ddof', options, 'With scaleRewards none there is no deviation.');
  }
  if (lossType === 'dr_grpo' && maxCompletionLength === null) {
    refuse('maxCompletionLength', options, 'dr_grpo needs it: the limit of the sampled responses.');
  }
  if (lossType !== 'dr_grpo' && maxCompletionLength !== null) {
    refuse('maxCompletionLength', options, 'Only lossType dr_grpo uses it; leave it out.');
  }
  if (lossType !== 'cispo') {
    const edge = 1 + (epsilonHigh ?? epsilon);
    if (delta !== null && delta <= edge) {
      refuse('delta', options, `It must be above 1 + epsilonHigh, which is ${edge}.`);
    }
    return;
  }
  if (epsilonHigh === null) {
    refuse('epsilonHigh', options, 'cispo needs it: the cap of the ratio, 5 for instance.');
  }
  if (epsilon !== specs.epsilon.default) {
    refuse('epsilon', options, 'cispo has no lower clip; leave it out.');
  }
  if (delta !== null) refuse('delta', options, 'cispo caps the ratio by epsilonHigh alone.');
};

export const grpoOptions = { specs, check };
