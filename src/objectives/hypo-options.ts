// The options of hypo.ts: its own, and those of the contrastive loss that it was told to use.
import { dpo } from './dpo.js';
import { ipo } from './ipo.js';
import type { Objective, OptionSpec } from './objective.js';
import { optionError, type OptionSpecs, type OptionValues } from './options.js';
import { slic } from './slic.js';

const losses = { dpo, ipo, slic };

/** slic's weight of the likelihood is called lambda too. */
const renamed: Readonly<Record<string, string>> = { nllCoef: 'lambda' };

const { lambda: nllCoef, ...ofSlic } = slic.options;
// What two losses call alike (beta) is the same option.
const inherited = { ...dpo.options, ...ipo.options, ...ofSlic, nllCoef } as const;
const inheritedSpecs: Readonly<Record<string, OptionSpec>> = inherited;

const own = {
  loss: {
    type: 'string',
    default: 'dpo',
    choices: ['dpo', 'ipo', 'slic'],
    help: 'The contrastive loss on the pairs of the dataset',
  },
  lambda: {
    type: 'number',
    default: 0.01,
    min: 0,
    help: 'Weight of the reverse KL: of the mean over samples of the sum over their tokens',
  },
  baseline: {
    type: 'string',
    default: 'rloo',
    choices: ['none', 'rloo', 'token', 'exact'],
    help:
      "Variance reduction of the KL's gradient: nothing, the prompt's other samples, per-token " +
      'rewards to go, or the exact KL of later tokens (one more pass of the reference)',
  },
} as const satisfies OptionSpecs;

const specs = { ...inherited, ...own } as const satisfies OptionSpecs;

type HypoOptions = OptionValues<typeof specs>;

/** The contrastive objective; OPTION_INVALID for an option that another one has. */
const offline = (options: HypoOptions): Objective => {
  const entry = losses[options.loss];
  const given: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (Object.hasOwn(own, name)) continue;
    const nameThere = renamed[name] ?? name;
    if (Object.hasOwn(entry.options, nameThere)) given[nameThere] = value;
    else if (value !== inheritedSpecs[name]!.default) {
      throw optionError('hypo', name, value, `The loss ${entry.name} has no such option.`);
    }
  }
  return entry.make(given);
};

export const hypoOptions = { specs, offline };
