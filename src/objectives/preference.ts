// A pairwise preference model: one score for an ordered pair of responses. The first sequence of a
// row shows (winner, loser), the second the same two as (loser, winner).
import { defineObjective } from './define.js';
import { logSigmoid, sigmoid } from './math.js';
import type { Evaluation, Row, Totals } from './objective.js';
import { meanOver } from './pairwise.js';

export const preference = defineObjective({
  name: 'preference',
  title: 'Pairwise preference model',
  paper: 'Tang et al. 2024, arXiv 2405.08448, eq. 4 and 5',
  source: 'dataset',
  options: {
    orders: {
      type: 'string',
      default: 'both',
      choices: ['both', 'first'],
      help: 'Learn both orders (eq. 5), or only winner before loser (eq. 4)',
    },
  },
  make: ({ orders }) => {
    const weights = orders === 'both' ? [0.5, 0.5] : [1, 0];
    const evaluate = (rows: readonly Row[], totals: Totals): Evaluation => {
      const scores = rows.map(({ sequences }) => [sequences[0]!.score!, sequences[1]!.score!]);
      const [first, second] = weights.map((weight) => weight / totals.pairs) as [number, number];
      let loss = 0;
      const gradients = scores.map(([winnerFirst, loserFirst]) => {
        loss -= first * logSigmoid(winnerFirst!) + second * logSigmoid(-loserFirst!);
        return [
          { score: -first * sigmoid(-winnerFirst!) },
          { score: second * sigmoid(loserFirst!) },
        ];
      });
      const metrics = {
        // The decision that is used: the sign of the difference between both orders.
        accuracy: meanOver(scores, ([one, other]) => (one! > other! ? 1 : 0)),
        margin: meanOver(scores, ([one, other]) => sigmoid(one!) - sigmoid(other!)),
        // p(first wins) summed over both orders is 1 where the place does not count.
        position_bias: meanOver(scores, ([one, other]) => sigmoid(one!) + sigmoid(other!) - 1),
      };
      return { loss, gradients, metrics };
    };
    return { rows: ['pair'], needs: { scores: true }, evaluate };
  },
});
