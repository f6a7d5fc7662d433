// Direct preference optimisation, with conservative labels and other f-divergences.
import { smoothedLogistic } from './logistic.js';
import { clampedExp, logSigmoid, sigmoid } from './math.js';
import { optionError } from './options.js';
import { betaOption, pairwise, smoothingOption } from './pairwise.js';

interface Score {
  readonly value: number;
  readonly slope: number;
}

const defaultAlpha = 0.5;

/**
 * f'(pi/pi_ref) of a log-ratio u, up to a constant, which the difference of two cancels (Wang et
 * al. 2023). Exponents are clamped, so that log-ratios of +-1000 stay finite.
 */
const scores = {
  reverse_kl: (u: number): Score => ({ value: u, slope: 1 }),
  forward_kl: (u: number): Score => {
    const { value, slope } = clampedExp(-u);
    return { value: -value, slope };
  },
  js_divergence: (u: number): Score => ({ value: logSigmoid(u), slope: sigmoid(-u) }),
  alpha_divergence: (u: number, alpha: number): Score => {
    // The limit at 1 is the reverse KL divergence.
    if (Math.abs(alpha - 1) < 1e-6) return { value: u, slope: 1 };
    const { value, slope } = clampedExp((alpha - 1) * u);
    return { value: value / (alpha - 1), slope };
  },
};

export const dpo = pairwise({
  name: 'dpo',
  title: 'Direct preference optimisation',
  paper:
    'Rafailov et al. 2023, arXiv 2305.18290, eq. 7; conservative: Mitchell 2023; ' +
    'f-divergences: Wang et al. 2023, arXiv 2309.16240',
  options: {
    beta: betaOption(),
    labelSmoothing: smoothingOption,
    fDivergenceType: {
      type: 'string',
      default: 'reverse_kl',
      choices: ['reverse_kl', 'forward_kl', 'js_divergence', 'alpha_divergence'],
      help: 'Divergence from the reference that is held down',
    },
    fAlphaDivergenceCoef: {
      type: 'number',
      default: null,
      help: 'alpha of alpha_divergence, and of no other; null: 0.5 (1 is reverse_kl)',
    },
    referenceFree: {
      type: 'boolean',
      default: false,
      help: 'Compare with a uniform reference: plain log-probabilities for log-ratios',
    },
  },
  reference: ({ referenceFree }) => !referenceFree,
  check: (options) => {
    const { fDivergenceType, fAlphaDivergenceCoef } = options;
    if (fDivergenceType === 'alpha_divergence') {
      return { ...options, fAlphaDivergenceCoef: fAlphaDivergenceCoef ?? defaultAlpha };
    }
    if (fAlphaDivergenceCoef === null) return undefined;
    const wayOut = `It is for alpha_divergence; with ${fDivergenceType} leave it out.`;
    throw optionError('dpo', 'fAlphaDivergenceCoef', fAlphaDivergenceCoef, wayOut);
  },
  loss: ({ chosen, rejected }, { beta, labelSmoothing, fDivergenceType, fAlphaDivergenceCoef }) => {
    const score = (u: number): Score =>
      scores[fDivergenceType](u, fAlphaDivergenceCoef ?? defaultAlpha);
    const [better, worse] = [score(chosen.logRatio), score(rejected.logRatio)];
    const { loss, slope } = smoothedLogistic(beta * (better.value - worse.value), labelSmoothing);
    return {
      loss,
      dChosen: slope * beta * better.slope,
      dRejected: -slope * beta * worse.slope,
    };
  },
});
