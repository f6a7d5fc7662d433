// REINFORCE leave-one-out: each sample against the mean of its prompt's other samples.
import { deviation, judged, leaveOneOut, mean, type Rewards } from './advantages.js';
import { defineObjective } from './define.js';
import { sumOf } from './math.js';
import type { Sequence } from './objective.js';
import { optionError, type OptionSpecs, type OptionValues } from './options.js';
import {
  evaluateSamples,
  klPlacements,
  logRatios,
  sampledKl,
  type Tally,
  tallyClipping,
  tokensOf,
  withAdvantages,
} from './samples.js';
import { clippedSurrogate, type ClipRange, epsilonHighOption, epsilonOption } from './surrogate.js';

const normalisation = 1e-4;

/** Over all samples that were judged beside another of their prompt. */
const normalised = (groups: readonly Rewards[], advantages: readonly number[][]): number[][] => {
  const compared = groups.map((rewards) => judged(rewards).length > 1);
  const isMeant = (r: number, s: number): boolean => compared[r]! && groups[r]![s] !== null;
  const meant = advantages.flatMap((group, r) => group.filter((_, s) => isMeant(r, s)));
  const [centre, scale] = [mean(meant), deviation(meant, 1) + normalisation];
  return advantages.map((group, r) =>
    group.map((advantage, s) => (isMeant(r, s) ? (advantage - centre) / scale : 0)),
  );
};

interface Policy {
  readonly loss: number;
  readonly logProbs: Float32Array;
}

const tokenLoss = (sequence: Sequence, range: ClipRange, samples: number, tally: Tally): Policy => {
  const advantages = tokensOf(sequence, 'advantages');
  let loss = 0;
  const logProbs = Float32Array.from(logRatios(sequence), (logRatio, t) => {
    const surrogate = clippedSurrogate(logRatio, advantages[t]!, range);
    tallyClipping(tally, surrogate);
    loss += surrogate.loss / samples;
    return surrogate.slope / samples;
  });
  return { loss, logProbs };
};

const sequenceLoss: typeof tokenLoss = (sequence, range, samples, tally) => {
  const { length } = sequence.logProbs;
  const advantage = tokensOf(sequence, 'advantages')[0]!;
  const surrogate = clippedSurrogate(sumOf(logRatios(sequence)), advantage, range);
  tallyClipping(tally, surrogate);
  return {
    loss: surrogate.loss / samples,
    logProbs: new Float32Array(length).fill(surrogate.slope / samples),
  };
};

const specs = {
  beta: {
    type: 'number',
    default: 0.05,
    min: 0,
    help: 'Weight of log pi - log reference of the sampled tokens (k1), taken off the reward',
  },
  klPlacement: {
    type: 'string',
    default: 'reward',
    choices: klPlacements,
    help: 'reward: baselines see the KL (TRL); advantage: after the baseline; token: KL to come',
  },
  level: {
    type: 'string',
    default: 'sequence',
    choices: ['sequence', 'token'],
    help: 'Ratio of the whole response (TRL), or one for each token; both summed over tokens',
  },
  epsilon: epsilonOption,
  epsilonHigh: epsilonHighOption,
  rewardMin: { type: 'number', default: null, help: "Judge's rewards below it count as it" },
  rewardMax: { type: 'number', default: null, help: "Judge's rewards above it count as it" },
  normalizeAdvantages: {
    type: 'boolean',
    default: false,
    help: 'Advantages to mean 0 and deviation 1 (ddof 1) over the batch of samples',
  },
} as const satisfies OptionSpecs;

/** OPTION_INVALID where options exclude one another. */
const check = ({ level, klPlacement, rewardMin, rewardMax }: OptionValues<typeof specs>): void => {
  if (level === 'sequence' && klPlacement === 'token') {
    throw optionError('rloo', 'klPlacement', klPlacement, 'It needs level "token".');
  }
  if (rewardMin !== null && rewardMax !== null && rewardMin >= rewardMax) {
    throw optionError('rloo', 'rewardMin', rewardMin, `It must be below rewardMax, ${rewardMax}.`);
  }
};

export const rloo = defineObjective({
  name: 'rloo',
  title: 'REINFORCE leave-one-out',
  paper: 'Ahmadian et al. 2024, arXiv 2402.14740, eq. 7; Kool et al. 2019',
  source: 'on-policy',
  options: specs,
  make: (options) => {
    const { beta, klPlacement, level, epsilon, epsilonHigh, rewardMin, rewardMax } = options;
    check(options);
    const range = { epsilon, epsilonHigh: epsilonHigh ?? epsilon };
    const shape = {
      coefficient: beta,
      placement: klPlacement,
      ...(rewardMin === null ? {} : { min: rewardMin }),
      ...(rewardMax === null ? {} : { max: rewardMax }),
    };
    const policyLoss = level === 'sequence' ? sequenceLoss : tokenLoss;
    return {
      rows: ['group'],
      needs: { reference: beta !== 0, entropies: true },
      prepare: (rows) =>
        withAdvantages(rows, shape, (groups) => {
          const advantages = groups.map(leaveOneOut);
          return options.normalizeAdvantages ? normalised(groups, advantages) : advantages;
        }),
      evaluate: (rows, { samples }) =>
        evaluateSamples(rows, (sequence, tally) => {
          const { loss, logProbs } = policyLoss(sequence, range, samples, tally);
          if (beta !== 0) for (const kl of sampledKl(sequence)) tally.add('kl', kl);
          return { loss, gradient: { logProbs } };
        }),
    };
  },
});
