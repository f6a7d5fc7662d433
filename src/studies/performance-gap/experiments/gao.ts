// Beyond the paper: over-optimisation of the proxy, after Gao et al. 2023 (2210.10760). What the
// proxy and the golden model say of online arms and of best-of-n against d = sqrt(KL), with fits of
//
//   R_RL(d) = d (alpha - beta log d)        R_bon(d) = d (alpha - beta d)
//
// Scores are counted from the SFT policy's by the same judge and, as judges differ in how sure they
// are, in its deviation among samples of the SFT policy to one prompt.
import { bestOfNKl } from '../../../evaluation/best-of-n.js';
import {
  type OveroptimizationFit,
  type ScoredDistance,
  fitLaw,
  fitPoints,
} from '../../../evaluation/overoptimization.js';
import { meanOf } from '../../../numbers.js';
import type { JsonObject } from '../../../checkpoint/json.js';
import type { Experiment, Findings } from '../../experiment.js';
import {
  type Claim,
  type Signature,
  above,
  below,
  measuredSignature,
  notTested,
} from '../../signature.js';
import { startPoint } from '../bench.js';
import {
  type BestOfNQuantity,
  type BestOfNValues,
  type ScoreSpread,
  bestOfNCurves,
  bestOfNPool,
  bestOfNQuantities,
  bestOfNSizes,
} from '../best-of-n.js';
import type { Lab } from '../lab.js';
import type { Point } from '../measure.js';
import { decimals } from './baseline-arms.js';
import { gaoFigures } from './gao-figures.js';
import { type ProxyRun, proxyRuns, proxySizesOf } from './proxy-size.js';

export type Quantity = BestOfNQuantity;

/** The points of a curve, and its fit; null where there are too few points to tell. */
export interface FittedCurve {
  readonly points: readonly ScoredDistance[];
  readonly fit: OveroptimizationFit | null;
}

export type Curves = Readonly<Record<Quantity, FittedCurve>>;

/** Of one size of proxy. */
export interface ProxyCurves {
  readonly parameters: number;
  /** Validation accuracy, mean over seeds. */
  readonly accuracy: number;
  /** Checkpoints of online arms. */
  readonly online: Curves;
  readonly bestOfN: Curves;
}

const eachQuantity = (of: (quantity: Quantity) => FittedCurve): Curves => {
  const [goldenWin, goldenScore, proxyWin, proxyScore] = bestOfNQuantities.map(of);
  return {
    goldenWin: goldenWin!,
    goldenScore: goldenScore!,
    proxyWin: proxyWin!,
    proxyScore: proxyScore!,
  };
};

const ofPoint: Readonly<Record<Quantity, (point: Point) => number>> = {
  goldenWin: ({ winRate }) => winRate,
  goldenScore: ({ score }) => score,
  proxyWin: ({ proxyWinRate }) => proxyWinRate,
  proxyScore: ({ proxyScore }) => proxyScore,
};

/** Two coefficients and one degree of freedom. */
const enough = (points: readonly ScoredDistance[]): boolean =>
  new Set(points.map(({ distance }) => distance).filter((distance) => distance > 0)).size >= 3;

export interface OnlineRun {
  readonly start: Point;
  readonly points: readonly Point[];
  readonly spread: ScoreSpread;
}

export interface BestOfNRun {
  readonly values: BestOfNValues;
  readonly spread: ScoreSpread;
}

/** What a quantity is counted in: win rates as they are. */
const unitOf = (quantity: Quantity, { golden, proxy }: ScoreSpread): number => {
  if (quantity === 'goldenWin' || quantity === 'proxyWin') return 1;
  const spread = quantity === 'goldenScore' ? golden : proxy;
  return spread > 0 ? spread : 1; // all samples are equal to a judge that learnt nothing
};

/** Checkpoints of all seeds in one curve; intervals are over checkpoints. */
export const onlineCurves = (runs: readonly OnlineRun[]): Curves =>
  eachQuantity((quantity) => {
    const value = ofPoint[quantity];
    const points = runs.flatMap(({ start, points: own, spread }) =>
      own.map((point) => ({
        distance: Math.sqrt(point.kl),
        score: (value(point) - value(start)) / unitOf(quantity, spread),
      })),
    );
    const keys = ['online', quantity];
    return { points, fit: enough(points) ? fitPoints(points, 'rl', { keys }) : null };
  });

/** Means over prompts at each n, of all seeds; intervals are over prompts. */
export const bestOfNCurvesOf = (seeds: readonly BestOfNRun[]): Curves =>
  eachQuantity((quantity) => {
    const pointsOf = (prompts: readonly number[]): ScoredDistance[] =>
      seeds.flatMap(({ values, spread }) =>
        bestOfNSizes.map((n, i) => {
          // n = 1 is the SFT policy itself.
          const [own, one] = [values[quantity][i]!, values[quantity][0]!];
          return {
            distance: Math.sqrt(bestOfNKl(n)),
            score:
              meanOf(prompts.map((prompt) => own[prompt]! - one[prompt]!)) /
              unitOf(quantity, spread),
          };
        }),
      );
    const prompts = [...(seeds[0]?.values[quantity][0] ?? []).keys()];
    const keys = ['best of n', quantity];
    const points = pointsOf(prompts);
    return {
      points,
      fit: enough(points) ? fitLaw(prompts, pointsOf, 'best-of-n', { keys }) : null,
    };
  });

const paper = 'beyond the paper; Gao et al. 2023 (2210.10760), section 3';

const bends: Claim = {
  id: 'B1a',
  claim:
    'the golden score of the online arms flattens as KL grows: in the fit ' +
    'R(d) = d (alpha - beta log d), d = sqrt(KL), beta is above 0',
  paper,
};
const turns: Claim = {
  id: 'B1b',
  claim: '… and has turned at the farthest checkpoint: the slope of the fit there is below 0',
  paper,
};

const fitText = (fit: OveroptimizationFit | null, farthest: number): string => {
  if (!fit) return 'no fit';
  const { alpha, beta, peak } = fit;
  const within = peak && peak.distance <= farthest ? 'reached' : 'not reached';
  const top = peak ? `highest at d = ${decimals(peak.distance)} (${within})` : 'rising for ever';
  return `alpha ${decimals(alpha)}, beta ${decimals(beta)}, ${top}`;
};

/** @param curves of the recipe's own proxy */
export const gaoSignatures = ({ online }: Pick<ProxyCurves, 'online'>): Signature[] => {
  const { goldenScore, proxyScore, goldenWin } = online;
  const { fit } = goldenScore;
  if (!fit) {
    const none = 'too few checkpoints for a fit';
    return [bends, turns].map(({ id, claim }) => notTested(id, claim, paper, none));
  }
  const farthest = Math.max(...goldenScore.points.map(({ distance }) => distance));
  const slopes = [proxyScore, goldenWin].map((curve) => curve.fit?.lastSlope ?? 0);
  return [
    measuredSignature(
      bends,
      { value: fit.beta, interval: fit.betaInterval },
      above(0),
      `golden score: ${fitText(fit, farthest)}; proxy score: ${fitText(proxyScore.fit, farthest)}; ` +
        `golden win rate: ${fitText(goldenWin.fit, farthest)}; distances up to ` +
        `${decimals(farthest)}; the interval is over checkpoints`,
    ),
    measuredSignature(
      turns,
      { value: fit.lastSlope, interval: fit.lastSlopeInterval },
      below(0),
      `the slope of the proxy's score there is ${decimals(slopes[0]!)}, that of the golden win ` +
        `rate ${decimals(slopes[1]!)}`,
    ),
  ];
};

interface SizeFound extends ProxyRun {
  /** The SFT policy as this proxy sees it. */
  readonly start: Point;
  readonly bestOfN: BestOfNRun;
}

type Found = readonly SizeFound[];

const run = async (lab: Lab, seed: number): Promise<Found> => {
  const ground = await lab.ground();
  const pool = await bestOfNPool(lab, ground);
  const found: SizeFound[] = [];
  for (const each of await proxyRuns(lab, seed)) {
    const started = await startPoint(lab, ground, each.proxy);
    const curves = await bestOfNCurves(lab, ground, pool, each.proxy);
    found.push({ ...each, start: started.result.point, bestOfN: curves.result });
  }
  return found;
};

const curvesOf = (seeds: readonly SizeFound[]): ProxyCurves => ({
  parameters: seeds[0]!.proxy.result.parameters,
  accuracy: meanOf(seeds.map(({ proxy }) => proxy.result.validationAccuracy)),
  online: onlineCurves(
    seeds.map(({ start, online, bestOfN: { spread } }) => ({
      start,
      points: online.result.points,
      spread,
    })),
  ),
  bestOfN: bestOfNCurvesOf(seeds.map(({ bestOfN }) => bestOfN)),
});

const findings = async (lab: Lab, found: readonly Found[]): Promise<Findings> => {
  const { proxy } = lab.recipe;
  const sizes = proxySizesOf(lab);
  const levels = sizes.map((_, i) => curvesOf(found.map((seed) => seed[i]!)));
  return {
    signatures: gaoSignatures(levels[sizes.indexOf(proxy.parameters)]!),
    figures: await gaoFigures(levels),
    data: {
      quantities:
        'golden and proxy, win rate and preference score (mean log-odds, in deviations among ' +
        "samples of the SFT policy to a prompt) against the golden policy, less the SFT policy's",
      bestOfN: [...bestOfNSizes],
      levels,
    } as unknown as JsonObject,
  };
};

export const gao: Experiment<Lab, Found> = {
  id: 'gao',
  title: 'Over-optimisation of the proxy',
  includes: ({ recipe }) => recipe.gao,
  run,
  findings,
};
