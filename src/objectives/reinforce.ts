// REINFORCE: -(R - b) sum_t log pi(y_t), on samples of the current policy, without ratio or clip.
import { centred, judged, leaveOneOut, mean, type Rewards } from './advantages.js';
import { defineObjective } from './define.js';
import { sumOf } from './math.js';
import {
  evaluateSamples,
  klPlacements,
  sampledKl,
  scoreFunctionLoss,
  withAdvantages,
} from './samples.js';

const centredOnBatch = (groups: readonly Rewards[]): number[][] => {
  const all = groups.flatMap(judged);
  const baseline = mean(all);
  return groups.map((rewards) =>
    rewards.map((reward) => (reward === null ? 0 : reward - baseline)),
  );
};

const baselines = {
  none: (groups: readonly Rewards[]) => groups.map((rewards) => rewards.map((r) => r ?? 0)),
  batch: centredOnBatch,
  'leave-one-out': (groups: readonly Rewards[]) => groups.map(leaveOneOut),
  group: (groups: readonly Rewards[]) => groups.map((rewards) => centred(rewards)),
};

export const reinforce = defineObjective({
  name: 'reinforce',
  title: 'REINFORCE with a KL penalty in the reward',
  paper: 'Williams 1992; for language models Ahmadian et al. 2024, arXiv 2402.14740, eq. 6',
  source: 'on-policy',
  options: {
    klCoef: {
      type: 'number',
      default: 0.05,
      min: 0,
      help: 'weight of log pi - log reference of the sampled tokens (k1), taken off the reward',
    },
    klPlacement: {
      type: 'string',
      default: 'reward',
      choices: klPlacements,
      help: 'reward: baselines see the KL; advantage: after the baseline; token: KL still to come',
    },
    baseline: {
      type: 'string',
      default: 'leave-one-out',
      choices: ['none', 'batch', 'group', 'leave-one-out'],
      help: "what is taken off the reward: a mean over all, over the prompt's samples or its others",
    },
  },
  make: ({ klCoef, klPlacement, baseline }) => ({
    rows: ['group'],
    needs: { reference: klCoef !== 0, entropies: true },
    prepare: (rows) =>
      withAdvantages(rows, { coefficient: klCoef, placement: klPlacement }, baselines[baseline]),
    evaluate: (rows, { samples }) =>
      evaluateSamples(rows, (sequence, tally) => {
        if (klCoef !== 0) tally.add('objective/kl', sumOf(sampledKl(sequence)));
        return scoreFunctionLoss(sequence, samples);
      }),
  }),
});
