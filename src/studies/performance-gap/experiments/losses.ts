// Beyond the paper: does the gap depend on the loss? DPO and SLiC online and offline, RLOO and PPO
// online, beside IPO, all at the recipe's beta. Policy-gradient losses have no offline arm of their
// own; their gap counts from the offline IPO arms.
import { frontierCloud } from '../../../report/chart.js';
import type { Bar } from '../../../report/chart.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment, Findings } from '../../experiment.js';
import type { Claim, Signature } from '../../signature.js';
import type { ArmObjective, ArmRun } from '../arms.js';
import { type Lab, cloud } from '../lab.js';
import { type Measured, ofPeaks } from '../peaks.js';
import { type Cloud, delta, peakText, winRateAxis } from './baseline-arms.js';
import { peakNumbers, peakOf, stairs, withInterval } from './data-helpers.js';
import { gapSignature } from './gap.js';
import { offlineGoodhart } from './goodhart.js';

export type PairLoss = 'ipo' | 'dpo' | 'slic';
export type Loss = PairLoss | 'rloo' | 'ppo';

export const lossTitles: Readonly<Record<Loss, string>> = {
  ipo: 'IPO',
  dpo: 'DPO',
  slic: 'SLiC',
  rloo: 'RLOO',
  ppo: 'PPO',
};

const hasPairs = (loss: Loss): loss is PairLoss => loss !== 'rloo' && loss !== 'ppo';

const objectiveOf = (lab: Lab, name: Loss): ArmObjective => ({ name, beta: lab.recipe.arm.beta });

export const onlineArmOf = (lab: Lab, seed: number, loss: Loss): Promise<ArmRun> =>
  lab.arm({
    ...lab.baseline(seed),
    objective: objectiveOf(lab, loss),
    source: { kind: 'online' },
  });

/** At all learning rates of the offline sweep, for as many steps as the online arm. */
export const offlineArmsOf = async (lab: Lab, seed: number, loss: PairLoss): Promise<ArmRun[]> => {
  const runs: ArmRun[] = [];
  for (const learningRate of lab.recipe.offline.learningRates) {
    const objective = objectiveOf(lab, loss);
    runs.push(await lab.arm({ seed, learningRate, objective, source: { kind: 'offline' } }));
  }
  return runs;
};

/** The clouds of one loss. Of RLOO and PPO `offline` is that of IPO. */
export interface LossClouds {
  readonly loss: Loss;
  readonly online: Cloud;
  readonly offline: Cloud;
}

const offlineLabel = (loss: Loss): string => (hasPairs(loss) ? 'offline' : 'offline IPO');

const ids: Readonly<Record<Exclude<Loss, 'ipo'>, string>> = {
  dpo: 'B2',
  slic: 'B3',
  rloo: 'B4',
  ppo: 'B5',
};

const claimOf = (loss: Exclude<Loss, 'ipo'>): Claim => ({
  id: ids[loss],
  claim: hasPairs(loss)
    ? `the gap with ${lossTitles[loss]}: the online peak at least ${delta} above the offline one`
    : `online ${lossTitles[loss]} has its peak at least ${delta} above that of offline IPO`,
  paper: hasPairs(loss)
    ? 'beyond the paper; a member of the family of its appendix B'
    : 'beyond the paper; it leaves reinforcement learning out (section 2)',
});

/** One for each loss besides IPO, whose gap at all betas is S1.1. */
export const lossSignatures = (losses: readonly LossClouds[]): Signature[] =>
  losses.flatMap(({ loss, online, offline }) => {
    if (loss === 'ipo') return [];
    const note = `online ${peakText(online)}, ${offlineLabel(loss)} ${peakText(offline)} (pooled)`;
    return [gapSignature(claimOf(loss), [online, offline], note)];
  });

const frontierFigure = async (
  losses: readonly LossClouds[],
  signatures: readonly string[],
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'multiples',
    name: 'losses-frontier',
    width: 760,
    height: 30 + 240 * Math.ceil(losses.length / 3),
    columns: Math.min(3, losses.length),
    panels: losses.map(({ loss, online, offline }) => ({
      kind: 'scatter' as const,
      name: `losses-${loss}`,
      title: lossTitles[loss],
      // The whole titles of the axes would take the panels' room.
      x: { title: 'KL', unit: 'nats' },
      y: { title: 'win rate' },
      clouds: [
        frontierCloud('online', online),
        // Of RLOO and PPO the same points as in the panel of IPO, for comparison.
        frontierCloud(offlineLabel(loss), offline),
      ],
    })),
  })),
  title: 'Beyond the paper: other losses',
  caption:
    `${stairs} Win rates are against the golden policy. Offline clouds pool the learning rates of the sweep. RLOO and PPO are rewarded by the ` +
    "proxy's preferences among samples of a prompt and stand beside offline IPO.",
  signatures,
});

export interface LossGap {
  readonly loss: Loss;
  readonly online: Measured;
  readonly offline: Measured;
  readonly gap: Measured;
}

export const lossGaps = (losses: readonly LossClouds[]): LossGap[] =>
  losses.map(({ loss, online, offline }) => ({
    loss,
    online: peakOf(online),
    offline: peakOf(offline),
    gap: ofPeaks([online, offline], ([a, b]) => a! - b!),
  }));

/** With ends around the value: resamples of few prompts may leave it just outside. */
const barOf = (category: string, { value, interval }: Measured, arm?: string): Bar => ({
  category,
  ...(arm === undefined ? {} : { arm }),
  value,
  low: Math.min(interval[0], value),
  high: Math.max(interval[1], value),
});

const peakFigure = async (gaps: readonly LossGap[]): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'bars',
    name: 'losses-peaks',
    value: winRateAxis,
    bars: gaps.flatMap(({ loss, online, offline }) => [
      barOf(lossTitles[loss], online, 'online'),
      ...(hasPairs(loss) ? [barOf(lossTitles[loss], offline, 'offline')] : []),
    ]),
  })),
  title: 'Peaks by loss',
  caption: `${bestCheckpoint} Intervals of 95 % are over prompts and seeds.`,
});

/** As peaks are measured: see peaks.ts. */
export const bestCheckpoint =
  'The best checkpoint is chosen on one half of the prompts and rated on the other.';

/** The table of gaps, as bars with their numbers. */
const gapFigure = async (
  gaps: readonly LossGap[],
  signatures: readonly string[],
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'bars',
    name: 'losses-gaps',
    value: { title: 'peak win rate, online less offline' },
    bars: gaps.map(({ loss, gap }) =>
      barOf(`${lossTitles[loss]}${hasPairs(loss) ? '' : ' less offline IPO'}`, gap),
    ),
  })),
  title: 'Gaps by loss',
  caption: gaps
    .map(({ loss, gap }) => `${lossTitles[loss]} ${withInterval(gap)}`)
    .join('; ')
    .concat('. Intervals of 95 % over prompts and seeds.'),
  signatures,
});

interface LossRuns {
  readonly online: ArmRun;
  /** None of RLOO and PPO. */
  readonly offline: readonly ArmRun[];
}

type Found = ReadonlyMap<Loss, LossRuns>;

const lossesOf = ({ losses }: Lab['recipe']): Loss[] => ['ipo', ...losses];

const run = async (lab: Lab, seed: number): Promise<Found> => {
  const found = new Map<Loss, LossRuns>();
  for (const loss of lossesOf(lab.recipe)) {
    const online = await onlineArmOf(lab, seed, loss);
    const offline = hasPairs(loss) ? await offlineArmsOf(lab, seed, loss) : [];
    found.set(loss, { online, offline });
  }
  return found;
};

const findings = async (lab: Lab, found: readonly Found[]): Promise<Findings> => {
  const all = (loss: Loss, of: (runs: LossRuns) => readonly ArmRun[]): Promise<Cloud> =>
    cloud(
      lab,
      found.flatMap((seed) => of(seed.get(loss)!)),
    );
  const losses: LossClouds[] = [];
  for (const loss of lossesOf(lab.recipe)) {
    const online = await all(loss, (runs) => [runs.online]);
    const offline = await all(hasPairs(loss) ? loss : 'ipo', (runs) => runs.offline);
    losses.push({ loss, online, offline });
  }
  const others = found.flatMap((seed) =>
    [...seed].flatMap(([loss, { offline }]) => (loss === 'ipo' ? [] : offline)),
  );
  const signatures = [
    ...lossSignatures(losses),
    ...(others.length > 0 ? [offlineGoodhart('S1.6c', others)] : []),
  ];
  const shown = signatures.map(({ id }) => id);
  const gaps = lossGaps(losses);
  return {
    signatures,
    figures: [
      await frontierFigure(losses, shown),
      await peakFigure(gaps),
      await gapFigure(gaps, shown),
    ],
    data: {
      beta: lab.recipe.arm.beta,
      losses: losses.map(({ loss, online, offline }, i) => ({
        loss,
        offlineLoss: hasPairs(loss) ? loss : 'ipo',
        online: peakNumbers(online),
        offline: peakNumbers(offline),
        gap: gaps[i]!.gap,
      })),
    },
  };
};

export const losses: Experiment<Lab, Found> = {
  id: 'losses',
  title: 'Other losses',
  includes: ({ recipe }) => recipe.losses.length > 0,
  run,
  findings,
};
