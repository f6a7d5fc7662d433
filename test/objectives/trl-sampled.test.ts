// The losses of TRL 1.13's GRPOTrainer and RLOOTrainer on four responses, computed by running them
// with these log-probabilities, advantages 0.9, -1.2, 0.3, -0.7 and, for dr_grpo, a limit of 7.
import test from 'ava';
import { grpo } from '../../src/objectives/grpo.js';
import { rloo } from '../../src/objectives/rloo.js';
import { doubles, evaluateAll } from './helpers.js';
import { assertNear } from './near.js';
import { group } from './samples.js';

const logProbs = [
  [-0.12, -2.23, -1.82],
  [-0.44, -1.34],
  [-2.03, -0.15],
  [-0.15, -2.59, -3.0],
];
const behaviour = [
  [-0.27, -2.01, -1.77],
  [-0.72, -1.56],
  [-1.93, -0.0],
  [-0.03, -2.26, -3.53],
];
const reference = [
  [-0.28, -2.63, -2.05],
  [-0.7, -1.49],
  [-2.43, -0.01],
  [-0.36, -2.87, -2.67],
];
const entropies = [
  [1.52, 1.72, 0.82],
  [0.75, 0.46],
  [1.69, 1.57],
  [1.11, 0.7, 0.34],
];
const advantages = [0.9, -1.2, 0.3, -0.7];

const rows = [
  group(
    ...logProbs.map((own, i) => ({
      logProbs: doubles(own),
      behaviour: doubles(behaviour[i]!),
      reference: doubles(reference[i]!),
      entropies: doubles(entropies[i]!),
      advantages: doubles(own.map(() => advantages[i]!)),
      reward: 0,
    })),
  ),
];

type Case = readonly [
  objective: 'grpo' | 'rloo',
  options: Readonly<Record<string, unknown>>,
  loss: number,
  slopes: readonly number[],
  clipped: number,
  kl: number | null,
];

const cases: readonly Case[] = [
  [
    'grpo',
    { lossType: 'grpo', epsilon: 0.1 },
    0.3092463,
    [0.0, -0.060189, -0.071342, 0.198469, 0.186912, -0.033931, -0.032277, 0.0, 0.0, 0.099104],
    0.3,
    null,
  ],
  [
    'grpo',
    { lossType: 'dapo', beta: 0.3 },
    0.2403463,
    [
      -0.100129, -0.062336, -0.079447, 0.165644, 0.153708, -0.017255, -0.030329, 0.067767, 0.007326,
      0.107196,
    ],
    0.1,
    0.0346687,
  ],
  [
    'grpo',
    { lossType: 'dapo', epsilonHigh: 0.05 },
    0.2400108,
    [0.0, -0.072227, -0.085611, 0.158776, 0.149529, -0.027145, -0.025821, 0.062084, 0.0, 0.118925],
    0.2,
    null,
  ],
  [
    'grpo',
    { lossType: 'dr_grpo', delta: 1.3, maxCompletionLength: 7 },
    0.0711589,
    [-0.037345, -0.025795, -0.030575, 0.0, 0.053403, -0.009695, -0.009222, 0.022173, 0.0, 0.0],
    0.1,
    null,
  ],
  [
    'grpo',
    { lossType: 'cispo', epsilonHigh: 1.2 },
    -0.259571,
    [
      -0.104565, -0.072227, -0.085611, 0.144, 0.144, -0.027145, -0.025821, 0.062084, 0.050325,
      0.084,
    ],
    0.0,
    null,
  ],
  [
    'grpo',
    { lossType: 'grpo', importanceSamplingLevel: 'sequence', beta: 0.2 },
    0.2893699,
    [
      -0.069595, -0.066565, -0.068635, 0.198328, 0.196086, -0.024852, -0.03685, 0.063067, 0.06398,
      0.053394,
    ],
    0.0,
    0.0346687,
  ],
  [
    'grpo',
    { lossType: 'dapo', importanceSamplingLevel: 'sequence', epsilon: 0.05 },
    0.2114785,
    [
      -0.086471, -0.086471, -0.086471, 0.154083, 0.154083, -0.026475, -0.026475, 0.071892, 0.071892,
      0.071892,
    ],
    0.0,
    null,
  ],
  [
    'grpo',
    { lossType: 'grpo', entropyCoef: 0.05 },
    0.2446124,
    [
      -0.087138, -0.060189, -0.071342, 0.198469, 0.186912, -0.033931, -0.032277, 0.051737, 0.0,
      0.099104,
    ],
    0.1,
    null,
  ],
  [
    'rloo',
    {},
    0.4262245,
    [
      -0.199557, -0.199557, -0.199557, 0.494616, 0.494616, -0.05841, -0.05841, 0.189575, 0.189575,
      0.189575,
    ],
    0.0,
    null,
  ],
];

for (const [name, options, loss, slopes, clipped, kl] of cases) {
  test(`${name} ${JSON.stringify(options)} equals TRL's`, (t) => {
    // rloo's KL is in the reward, which these rows do not have.
    const objective = name === 'grpo' ? grpo.make(options) : rloo.make(options);
    const { gradients, metrics, ...found } = evaluateAll(objective, rows);
    // As many digits as are given.
    assertNear(t, [found.loss], [loss], 6e-8);
    const ours = gradients.flat().flatMap(({ logProbs: own }) => [...own!]);
    assertNear(t, ours, slopes, 6e-7);
    const { sum, weight } = metrics['clip_ratio/region_mean'] ?? metrics.cispo_clip_ratio!;
    assertNear(t, [sum / weight], [clipped], 6e-7);
    if (kl !== null) assertNear(t, [metrics.kl!.sum / metrics.kl!.weight], [kl], 6e-8);
  });
}
