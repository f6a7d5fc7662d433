// Beyond the paper: HyPO (Song et al. 2024, 2406.01462) as an arm between offline and online. Its
// pairs are those of the offline arm; online it has unlabelled samples of the policy, for the reverse
// KL. How much of the gap does that close, without a judge online?
import type { JsonObject } from '../../../checkpoint/json.js';
import { frontierCloud } from '../../../report/chart.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment, Findings } from '../../experiment.js';
import {
  type Claim,
  type Signature,
  above,
  measuredSignature,
  notTested,
} from '../../signature.js';
import type { ArmRun } from '../arms.js';
import { type Lab, cloud } from '../lab.js';
import { type Measured, ofPeaks } from '../peaks.js';
import type { Recipe } from '../recipe.js';
import { type Cloud, delta, klAxis, peakText, winRateAxis } from './baseline-arms.js';
import {
  bandPoint,
  finalsOf,
  intervals,
  peakNumbers,
  stairs,
  withInterval,
} from './data-helpers.js';
import { gapSignature } from './gap.js';
import { bestCheckpoint, lossTitles, offlineArmsOf, onlineArmOf } from './losses.js';

export type Base = 'ipo' | 'dpo';

/** The clouds of one base loss. */
export interface HypoClouds {
  readonly base: Base;
  readonly online: Cloud;
  /** Pooled over the learning rates of the sweep. */
  readonly offline: Cloud;
  /** By rising lambda. */
  readonly levels: readonly { readonly lambda: number; readonly cloud: Cloud }[];
}

const pooled = ({ levels }: HypoClouds): Cloud => levels.flatMap((level) => level.cloud);

/**
 * (hypo - offline) / (online - offline) of peaks, with its interval; null where the interval of the
 * gap does not lie above 0, because a share of nothing has no meaning.
 */
export const shareOfGap = (hypo: Cloud, { online, offline }: HypoClouds): Measured | null => {
  const gap = ofPeaks([online, offline], ([a, b]) => a! - b!);
  if (!(gap.interval[0] > 0)) return null;
  return ofPeaks([hypo, online, offline], ([own, a, b]) => (own! - b!) / (a! - b!));
};

const paper = 'beyond the paper; Song et al. 2024 (2406.01462)';

const claimsOf = (base: Base): Readonly<Record<'better' | 'half', Claim>> => {
  const suffix = base === 'ipo' ? '' : 'd';
  const name = `HyPO on ${lossTitles[base]}`;
  return {
    better: {
      id: `B6a${suffix}`,
      claim: `${name} has its peak at least ${delta} above that of offline`,
      paper,
    },
    half: {
      id: `B6b${suffix}`,
      claim: `${name} closes at least half of the gap between the peaks of offline and online`,
      paper,
    },
  };
};

const idsOf = (base: Base): string[] => Object.values(claimsOf(base)).map(({ id }) => id);

export const hypoSignatures = (clouds: HypoClouds): Signature[] => {
  const { base, online, offline, levels } = clouds;
  const claims = claimsOf(base);
  const hypo = pooled(clouds);
  const peaks = levels.map(({ lambda, cloud: own }) => `${lambda}: ${peakText(own)}`);
  const note =
    `peaks: offline ${peakText(offline)}, online ${peakText(online)}, HyPO by lambda ` +
    `${peaks.join(', ')}; HyPO at one learning rate and all lambdas, offline at all learning rates`;
  const share = shareOfGap(hypo, clouds);
  const { id, claim } = claims.half;
  return [
    gapSignature(claims.better, [hypo, offline], note),
    share === null
      ? notTested(id, claim, paper, 'the gap itself does not stand out: there is nothing to close')
      : measuredSignature(claims.half, share, above(0.5), 'the value is the share that it closes'),
  ];
};

const frontierFigure = async (clouds: HypoClouds): Promise<ReportFigure> => {
  const { base, online, offline, levels } = clouds;
  return {
    ...(await renderChart({
      kind: 'scatter',
      name: `hypo-${base}-frontier`,
      x: klAxis,
      y: winRateAxis,
      clouds: [
        frontierCloud('online', online),
        frontierCloud('offline', offline),
        ...levels.map(({ lambda, cloud: own }) => frontierCloud(`HyPO, λ ${lambda}`, own)),
      ],
    })),
    title: `Beyond the paper: HyPO on ${lossTitles[base]}`,
    caption:
      `${stairs} HyPO trains on the offline arm's pairs and, by λ, on the reverse KL of unlabelled ` +
      'samples of its own, whose gradient takes the exact KL of later tokens where Song et al. centre ' +
      'samples by each other.',
    claim: 'Song et al. 2024: the KL of own samples is what offline training lacks.',
    signatures: idsOf(base),
  };
};

interface HypoLevel {
  readonly lambda: number;
  readonly cloud: Cloud;
  /** Of the gap, that this lambda closes. */
  readonly share: Measured | null;
}

const levelsOf = (clouds: HypoClouds): HypoLevel[] =>
  clouds.levels.map((level) => ({ ...level, share: shareOfGap(level.cloud, clouds) }));

/** Over lambda; offline is lambda 0 at its best learning rate. */
const levelFigure = async (
  { base, online, offline }: HypoClouds,
  levels: readonly HypoLevel[],
): Promise<ReportFigure> => {
  const peak = (own: Cloud): Measured => ofPeaks([own], ([value]) => value!);
  const arm = (label: string, of: (own: Cloud) => Cloud) => ({
    label,
    points: levels.map(({ lambda, cloud: own }) => bandPoint(lambda, peak(of(own)))),
  });
  const shares = levels.map(
    ({ lambda, share }) => `λ ${lambda}: ${share ? withInterval(share) : 'no gap to close'}`,
  );
  return {
    ...(await renderChart({
      kind: 'lines',
      name: `hypo-${base}-lambda`,
      x: { title: 'λ, weight of the reverse KL', scale: 'log' },
      y: winRateAxis,
      references: [
        { y: peak(online).value, label: 'online, peak' },
        { y: peak(offline).value, label: 'offline, peak' },
      ],
      arms: [arm('HyPO, best checkpoint', (own) => own), arm('last checkpoint', finalsOf)],
    })),
    title: `What share of the gap does it close (${lossTitles[base]})?`,
    caption: `Share of the gap between the peaks of offline and online: ${shares.join('; ')}. ${bestCheckpoint} ${intervals}`,
    signatures: idsOf(base),
  };
};

/** DPO is the base of Song et al.; it is compared where its own arms are part of the recipe. */
const basesOf = ({ losses }: Recipe): Base[] => (losses.includes('dpo') ? ['ipo', 'dpo'] : ['ipo']);

/** Rising; 0 is the offline arm itself. */
const lambdasOf = ({ hypo: own }: Recipe): number[] =>
  (own?.lambdas ?? []).filter((lambda) => lambda > 0).sort((a, b) => a - b);

interface BaseRuns {
  readonly online: ArmRun;
  readonly offline: readonly ArmRun[];
  readonly levels: readonly ArmRun[];
}

type Found = ReadonlyMap<Base, BaseRuns>;

const run = async (lab: Lab, seed: number): Promise<Found> => {
  const found = new Map<Base, BaseRuns>();
  const { beta } = lab.recipe.arm;
  for (const base of basesOf(lab.recipe)) {
    const levels: ArmRun[] = [];
    for (const lambda of lambdasOf(lab.recipe)) {
      const objective = { name: 'hypo', beta, lambda, base } as const;
      levels.push(await lab.arm({ ...lab.baseline(seed), objective, source: { kind: 'offline' } }));
    }
    const online = await onlineArmOf(lab, seed, base);
    found.set(base, { online, offline: await offlineArmsOf(lab, seed, base), levels });
  }
  return found;
};

const cloudsOf = async (lab: Lab, base: Base, found: readonly Found[]): Promise<HypoClouds> => {
  const all = (of: (runs: BaseRuns) => readonly ArmRun[]): Promise<Cloud> =>
    cloud(
      lab,
      found.flatMap((seed) => of(seed.get(base)!)),
    );
  const levels: { lambda: number; cloud: Cloud }[] = [];
  for (const [i, lambda] of lambdasOf(lab.recipe).entries()) {
    levels.push({ lambda, cloud: await all((runs) => [runs.levels[i]!]) });
  }
  const online = await all((runs) => [runs.online]);
  return { base, online, offline: await all((runs) => runs.offline), levels };
};

const findings = async (lab: Lab, found: readonly Found[]): Promise<Findings> => {
  const signatures: Signature[] = [];
  const figures: ReportFigure[] = [];
  const bases: JsonObject[] = [];
  for (const base of basesOf(lab.recipe)) {
    const clouds = await cloudsOf(lab, base, found);
    const levels = levelsOf(clouds);
    signatures.push(...hypoSignatures(clouds));
    figures.push(await frontierFigure(clouds), await levelFigure(clouds, levels));
    bases.push({
      base,
      online: peakNumbers(clouds.online),
      offline: peakNumbers(clouds.offline),
      levels: levels.map(({ lambda, cloud: own, share }) => ({
        lambda,
        ...peakNumbers(own),
        shareOfGap: share as JsonObject | null,
      })),
    });
  }
  return { signatures, figures, data: { beta: lab.recipe.arm.beta, bases } };
};

export const hypo: Experiment<Lab, Found> = {
  id: 'hypo',
  title: 'HyPO between offline and online',
  includes: ({ recipe }) => lambdasOf(recipe).length > 0,
  run,
  findings,
};
