// Figure 1: KL against win rate of the online arm and of the pooled offline sweep.
import { compareFrontiers } from '../../../evaluation/frontier.js';
import { mean } from '../../../evaluation/statistics.js';
import { frontierCloud } from '../../../report/chart.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment } from '../../experiment.js';
import { type Signature, above, measuredSignature, notTested } from '../../signature.js';
import type { ArmRun } from '../arms.js';
import { type Lab, cloud } from '../lab.js';
import type { Point } from '../measure.js';
import { ofEnvelopes } from '../peaks.js';
import {
  type Cloud,
  band,
  decimals,
  klAxis,
  offlineSweep,
  onlineArm,
  overSteps,
  stepAxis,
  winRateAxis,
  worldText,
} from './baseline-arms.js';
import { withInterval } from './data-helpers.js';
import { peakGap } from './gap.js';
import { offlineGoodhart, onlineGoodhart } from './goodhart.js';

type Pair<Item> = Readonly<Record<'online' | 'offline', Item>>;

/** Share of the common KL range in which online is not more than 0.01 below. */
export const envelopeSignature = ({ online, offline }: Pair<Cloud>): Signature => {
  const names = {
    id: 'S1.2',
    claim: 'online at or above offline on at least 80 % of the common KL range from 1 nat up',
    paper: 'figure 1',
  };
  const { range } = compareFrontiers(online, offline);
  const [low, high] = [Math.max(1, range?.[0] ?? Infinity), range?.[1] ?? 0];
  if (low >= high) {
    return notTested(names.id, names.claim, names.paper, 'there is no common range above 1 nat');
  }
  const budgets = Array.from({ length: 101 }, (_, i) => low * (high / low) ** (i / 100));
  const share = (gaps: readonly number[]): number =>
    gaps.filter((each) => each >= -0.01).length / gaps.length;
  const middle = ofEnvelopes([online, offline], budgets, mean);
  const note =
    `from ${decimals(low)} to ${decimals(high)} nats; ` + `mean difference ${withInterval(middle)}`;
  return measuredSignature(names, ofEnvelopes([online, offline], budgets, share), above(0.8), note);
};

const cloudFigure = async ({ online, offline }: Pair<Cloud>): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'scatter',
    name: 'fig-1-kl-win-rate',
    x: klAxis,
    y: winRateAxis,
    clouds: [frontierCloud('online', online), frontierCloud('offline', offline)],
  })),
  title: 'KL against win rate, online and offline',
  caption:
    'Each point is a checkpoint: of the one online configuration, and of all offline ones. ' +
    'Stairs are the best win rate within a budget of KL.',
  claim:
    'Both arms first rise and then fall with KL; at equal KL online is higher, and so is its peak.',
  signatures: ['S1.1', 'S1.2', 'S1.6a', 'S1.6b'],
});

const truthFigure = async (start: Point, online: readonly ArmRun[]): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'lines',
    name: 'proxy-and-golden',
    x: stepAxis,
    y: { title: 'win rate of the online arm' },
    arms: [
      overSteps('as the proxy sees it', start, online, (point) => point.proxyWinRate),
      overSteps('as the golden model sees it', start, online, (point) => point.winRate),
    ],
  })),
  title: 'Beyond the paper: the proxy and the truth',
  caption: `The same responses, judged by the model that trains the arm and by the truth. ${band}`,
  signatures: ['S1.6b'],
});

interface Found {
  readonly online: ArmRun;
  readonly offline: readonly ArmRun[];
  /** At the recipe's weak beta, where policies go farther. */
  readonly weak: Pair<ArmRun> | null;
  /** Online against the recipe's other proxies. */
  readonly proxies: readonly ArmRun[];
}

const weakArms = async (lab: Lab, seed: number, beta: number): Promise<Pair<ArmRun>> => {
  const arm = { ...lab.baseline(seed), objective: { name: 'ipo', beta } } as const;
  return {
    online: await lab.arm({ ...arm, source: { kind: 'online' } }),
    offline: await lab.arm({ ...arm, source: { kind: 'offline' } }),
  };
};

const of = (weak: Pair<ArmRun> | null, method: 'online' | 'offline'): ArmRun[] =>
  weak ? [weak[method]] : [];

export const figure1: Experiment<Lab, Found> = {
  id: 'fig-1',
  title: 'KL against win rate',
  includes: () => true,
  run: async (lab, seed) => {
    const { weakBeta, proxySizes } = lab.recipe;
    const proxies: ArmRun[] = [];
    for (const proxy of proxySizes) {
      proxies.push(await lab.arm({ ...lab.baseline(seed), source: { kind: 'online' }, proxy }));
    }
    return {
      online: await onlineArm(lab, seed),
      offline: await offlineSweep(lab, seed),
      weak: weakBeta === null ? null : await weakArms(lab, seed, weakBeta),
      proxies,
    };
  },
  findings: async (lab, found) => {
    const online = found.map((seed) => seed.online);
    const clouds = {
      online: await cloud(lab, online),
      offline: await cloud(
        lab,
        found.flatMap(({ offline }) => offline),
      ),
    };
    return {
      signatures: [
        peakGap('S1.1', clouds, worldText(lab)),
        envelopeSignature(clouds),
        offlineGoodhart(
          'S1.6a',
          found.flatMap(({ offline, weak }) => [...offline, ...of(weak, 'offline')]),
        ),
        onlineGoodhart(
          found.flatMap((seed) => [seed.online, ...of(seed.weak, 'online'), ...seed.proxies]),
        ),
      ],
      figures: [await cloudFigure(clouds), await truthFigure(await lab.start(), online)],
    };
  },
};
