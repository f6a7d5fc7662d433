// The loss of the two discriminators of H2O (Niu et al. 2022, arXiv 2206.13464; Eysenbach et al. 2021,
// DARC), which tell golden-labelled from proxy-labelled pairs. One row is one pair, in two views: the
// first does not show the label, the second does. With scores s and z = c tanh(s / c):
//
//   P(golden | responses) = sigmoid(z1)      P(golden | responses, label) = sigmoid(z1 + z2)
//
// so that z2 is the log-ratio of P_golden(label | responses) to P_proxy(label | responses), and |z2| < c.
import { defineObjective } from '../objectives/define.js';
import { logSigmoid, sigmoid } from '../objectives/math.js';
import type { Row } from '../objectives/objective.js';
import { meanOver } from '../objectives/pairwise.js';

export const defaultLogitScale = 4;

/** z of a score. */
export const boundedLogit = (score: number, scale: number): number =>
  scale * Math.tanh(score / scale);

export const discriminatorLoss = defineObjective({
  name: 'discriminators',
  title: 'Two discriminators, without and with the label',
  paper: 'Niu et al. 2022, arXiv 2206.13464, section 3.2',
  source: 'dataset',
  options: {
    logitScale: {
      type: 'number',
      default: defaultLogitScale,
      min: 0,
      exclusive: true,
      help: 'No logit is larger: the most that a label is mistrusted, in nats',
    },
  },
  make: ({ logitScale }) => ({
    rows: ['group'],
    needs: { scores: true },
    evaluate: (rows, totals) => {
      const found = rows.map(({ sequences, label }: Row) => {
        const [z1, z2] = sequences.map(({ score }) => boundedLogit(score!, logitScale));
        const sign = label ? 1 : -1;
        return { sign, blind: sign * z1!, joint: sign * (z1! + z2!), z: [z1!, z2!] };
      });
      // z1 learns from both losses: the joint one is not held back from it.
      const gradients = found.map(({ sign, blind, joint, z: [z1, z2] }) => {
        const [ofBlind, ofJoint] = [-sign * sigmoid(-blind), -sign * sigmoid(-joint)];
        const slope = (z: number): number => (1 - (z / logitScale) ** 2) / totals.groups;
        return [{ score: (ofBlind + ofJoint) * slope(z1!) }, { score: ofJoint * slope(z2!) }];
      });
      const metrics = {
        'discriminator/blind_loss': meanOver(found, ({ blind }) => -logSigmoid(blind)),
        'discriminator/joint_loss': meanOver(found, ({ joint }) => -logSigmoid(joint)),
      };
      const sum = Object.values(metrics).reduce((all, mean) => all + mean.sum, 0);
      return { loss: sum / totals.groups, gradients, metrics };
    },
  }),
});
