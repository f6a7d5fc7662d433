// A reward model: one score a response, the chosen one's above the rejected one's.
import { defineObjective } from './define.js';
import { smoothedLogistic } from './logistic.js';
import { sumOf } from './math.js';
import type { Evaluation, Row, Totals } from './objective.js';
import { meanOver } from './pairwise.js';

export const reward = defineObjective({
  name: 'reward',
  title: 'Reward model (Bradley-Terry)',
  paper: 'Bradley and Terry 1952; Ouyang et al. 2022, arXiv 2203.02155, eq. 1',
  source: 'dataset',
  options: {
    centerRewardsCoefficient: {
      type: 'number',
      default: 0,
      min: 0,
      help: 'Weight of the squared sum of both scores, which holds their mean at 0',
    },
  },
  make: ({ centerRewardsCoefficient: centring }) => {
    const evaluate = (rows: readonly Row[], totals: Totals): Evaluation => {
      const scores = rows.map(({ sequences, margin = 0 }) => ({
        chosen: sequences[0]!.score!,
        rejected: sequences[1]!.score!,
        margin,
      }));
      let loss = 0;
      const gradients = scores.map(({ chosen, rejected, margin }) => {
        const contrast = smoothedLogistic(chosen - rejected - margin);
        const sum = chosen + rejected;
        loss += (contrast.loss + centring * sum ** 2) / totals.pairs;
        const pull = 2 * centring * sum;
        return [
          { score: (pull + contrast.slope) / totals.pairs },
          { score: (pull - contrast.slope) / totals.pairs },
        ];
      });
      const all = scores.flatMap(({ chosen, rejected }) => [chosen, rejected]);
      const metrics = {
        accuracy: meanOver(scores, ({ chosen, rejected }) => (chosen > rejected ? 1 : 0)),
        margin: meanOver(scores, ({ chosen, rejected }) => chosen - rejected),
        mean_reward: { sum: sumOf(all), weight: all.length },
        // Of the rows of one evaluation; merged over several they are means of extremes, as in TRL.
        ...(all.length > 0
          ? {
              min_reward: { sum: Math.min(...all), weight: 1 },
              max_reward: { sum: Math.max(...all), weight: 1 },
            }
          : {}),
      };
      return { loss, gradients, metrics };
    };
    return { rows: ['pair'], needs: { scores: true }, evaluate };
  },
});
