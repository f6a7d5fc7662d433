// Nash mirror descent: samples of the policy against an opponent's (Munos et al. mix it from policy
// and reference); the reward of a sample is the judge's preference for it.
import { AlignlabError } from '../errors.js';
import { defineObjective } from './define.js';
import { sumOf } from './math.js';
import type { Sequence } from './objective.js';
import { evaluateSamples, rewardOf, sampledKl, scoreFunctionLoss, tokensOf } from './samples.js';

/** P(y > y' | x) in [0, 1]; JUDGE_FAILED for anything else. */
const preferenceOf = (sequence: Sequence): number => {
  const preference = rewardOf(sequence)!;
  if (preference >= 0 && preference <= 1) return preference;
  throw new AlignlabError(
    'JUDGE_FAILED',
    `nash-md takes the judge's preference, from 0 to 1, as a reward; found ${preference}. ` +
      'Use a pairwise judge, and null where it cannot tell.',
  );
};

export const nashMd = defineObjective({
  name: 'nash-md',
  title: 'Nash mirror descent (Nash-MD-PG)',
  paper: 'Munos et al. 2023, arXiv 2312.00886, section 7',
  source: 'on-policy',
  options: {
    beta: { type: 'number', default: 0.1, min: 0, help: 'Weight of the KL to the reference' },
    klLevel: {
      type: 'string',
      default: 'sequence',
      choices: ['sequence', 'token'],
      help: "sequence: unbiased; token: TRL's, each token's log-ratio on its own log-probability",
    },
  },
  make: ({ beta, klLevel }) => ({
    rows: ['group'],
    needs: { reference: true, entropies: true },
    // -sum_t A_t log pi_t with A_t = p - 1/2 - beta k_t, k_t the log-ratio to the reference of the
    // whole response or of the token alone; both without gradient, at the policy that sampled.
    prepare: (rows) =>
      rows.map((row) => ({
        ...row,
        sequences: row.sequences.map((sequence) => {
          if (rewardOf(sequence) === null) return sequence;
          const gain = preferenceOf(sequence) - 1 / 2;
          const ratios = sampledKl(sequence);
          const kl = sumOf(ratios);
          const advantages = ratios.map((own) => gain - beta * (klLevel === 'token' ? own : kl));
          return { ...sequence, advantages: Float32Array.from(advantages) };
        }),
      })),
    evaluate: (rows, { samples }) =>
      evaluateSamples(rows, (sequence, tally) => {
        const preference = preferenceOf(sequence);
        tally.add('loss/score', (preference - 1 / 2) * sumOf(sequence.logProbs));
        tally.add('loss/kl', sumOf(sampledKl(sequence)));
        tally.add('rewards/probabilities', preference);
        tally.add('objective/entropy', -sumOf(tokensOf(sequence, 'behaviour')));
        return scoreFunctionLoss(sequence, samples);
      }),
  }),
});
