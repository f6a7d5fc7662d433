// Scaling the proxy (S1.16; Gao et al. 2023): online arms against proxies of several sizes, trained
// on the same D_golden. The policy and the opponent stay the same.
import { meanOf } from '../../../numbers.js';
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
import { parametersOf } from '../materials.js';
import { ofPeaks } from '../peaks.js';
import {
  type Cloud,
  decimals,
  klAxis,
  offlineArm,
  peakText,
  winRateAxis,
} from './baseline-arms.js';
import { bandPoint, finalsOf, intervals, peakNumbers, peakOf, stairs } from './data-helpers.js';
import { bestCheckpoint } from './losses.js';
import { thousands } from './policy-size.js';

/**
 * About so many parameters each: the recipe's own proxy among them, by rising size. Of those that
 * come out as one model the recipe's own or the smallest is kept.
 */
export const proxySizesOf = ({
  recipe,
  materials,
}: Pick<Lab, 'recipe' | 'materials'>): number[] => {
  const { proxy, proxySizes } = recipe;
  const about = [proxy.parameters, ...[...proxySizes].sort((a, b) => a - b)];
  const actual = about.map((parameters) => parametersOf(materials, parameters));
  return about.filter((_, i) => actual.indexOf(actual[i]!) === i).sort((a, b) => a - b);
};

/** The online arm against a proxy of this size, and that proxy. */
export interface ProxyRun {
  readonly online: ArmRun;
  readonly proxy: Awaited<ReturnType<Lab['proxy']>>;
}

export const proxyRuns = async (lab: Lab, seed: number): Promise<ProxyRun[]> => {
  const runs: ProxyRun[] = [];
  for (const proxy of proxySizesOf(lab)) {
    const online = await lab.arm({ ...lab.baseline(seed), source: { kind: 'online' }, proxy });
    runs.push({ online, proxy: await lab.proxy(seed, proxy) });
  }
  return runs;
};

export interface ProxyLevel {
  readonly parameters: number;
  /** Validation accuracy, mean over seeds. */
  readonly accuracy: number;
  readonly cloud: Cloud;
}

const monotone: Claim = {
  id: 'S1.16',
  claim: 'a larger proxy raises the online peak, at every step up of three sizes or more',
  paper: 'section 5.5; Gao et al. 2023, figure 3',
};
const trend: Claim = {
  id: 'S1.16b',
  claim: 'the online peak rises with the logarithm of the size of the proxy',
  paper: monotone.paper,
};

/** Of y by least squares on x. */
export const slopeOf = (x: readonly number[], y: readonly number[]): number => {
  const [a, b] = [meanOf(x), meanOf(y)];
  const products = x.map((value, i) => (value - a) * (y[i]! - b));
  return meanOf(products) / meanOf(x.map((value) => (value - a) ** 2));
};

/** S1.16 to the letter, and as a trend. @param levels by rising size */
export const proxySignatures = (levels: readonly ProxyLevel[]): Signature[] => {
  if (levels.length < 3) {
    const found = levels.length > 1 ? `only ${levels.length} sizes` : 'not part of this recipe';
    return [monotone, trend].map(({ id, claim, paper }) => notTested(id, claim, paper, found));
  }
  const clouds = levels.map((level) => level.cloud);
  const rises = (peaks: readonly number[]) => peaks.slice(1).map((peak, i) => peak - peaks[i]!);
  const sizes = levels.map(({ parameters }) => Math.log10(parameters));
  const peaks = levels.map(
    ({ parameters, accuracy, cloud: own }) =>
      `${thousands(parameters)} ${peakText(own)} (accuracy ${decimals(accuracy)})`,
  );
  return [
    measuredSignature(
      monotone,
      ofPeaks(clouds, (found) => Math.min(...rises(found))),
      above(0),
      `online peaks by parameters of the proxy: ${peaks.join(', ')}; the value is the least rise ` +
        'from one size to the next',
    ),
    measuredSignature(
      trend,
      ofPeaks(clouds, (found) => slopeOf(sizes, found)),
      above(0),
      'least squares: win rate for each tenfold of parameters',
    ),
  ];
};

const sizeFigure = async (levels: readonly ProxyLevel[], offline: Cloud): Promise<ReportFigure> => {
  const arm = (label: string, of: (own: Cloud) => Cloud) => ({
    label,
    points: levels.map(({ parameters, accuracy, cloud: own }) =>
      bandPoint(
        parameters,
        ofPeaks([of(own)], ([value]) => value!),
        `validation accuracy ${decimals(accuracy)}`,
      ),
    ),
  });
  return {
    ...(await renderChart({
      kind: 'lines',
      name: 'proxy-size',
      x: { title: 'parameters of the proxy', scale: 'log' },
      y: winRateAxis,
      references: [{ y: peakOf(offline).value, label: 'offline, peak' }],
      arms: [arm('online, best checkpoint', (own) => own), arm('last checkpoint', finalsOf)],
    })),
    title: 'Beyond the paper: would a better proxy help?',
    caption: `Online arms against proxies of several sizes, all trained on D_golden. ${bestCheckpoint} ${intervals}`,
    signatures: ['S1.16', 'S1.16b'],
  };
};

const frontierFigure = async (levels: readonly ProxyLevel[]): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'scatter',
    name: 'proxy-size-frontier',
    x: klAxis,
    y: winRateAxis,
    clouds: levels.map(({ parameters, cloud: own }) =>
      frontierCloud(`proxy of ${parameters.toLocaleString('en')}`, own),
    ),
  })),
  title: 'The same over the KL',
  caption: stairs,
  signatures: ['S1.16'],
});

interface Found {
  readonly sizes: readonly ProxyRun[];
  readonly offline: ArmRun;
}

const run = async (lab: Lab, seed: number): Promise<Found> => ({
  sizes: await proxyRuns(lab, seed),
  offline: await offlineArm(lab, seed),
});

const findings = async (lab: Lab, found: readonly Found[]): Promise<Findings> => {
  const levels: ProxyLevel[] = [];
  for (const i of proxySizesOf(lab).keys()) {
    const seeds = found.map(({ sizes }) => sizes[i]!);
    levels.push({
      parameters: seeds[0]!.proxy.result.parameters,
      accuracy: meanOf(seeds.map(({ proxy }) => proxy.result.validationAccuracy)),
      cloud: await cloud(
        lab,
        seeds.map(({ online }) => online),
      ),
    });
  }
  const offline = await cloud(
    lab,
    found.map((seed) => seed.offline),
  );
  return {
    signatures: proxySignatures(levels),
    figures: [await sizeFigure(levels, offline), await frontierFigure(levels)],
    data: {
      levels: levels.map(({ cloud: own, ...level }) => ({ ...level, ...peakNumbers(own) })),
      offline: peakNumbers(offline),
    },
  };
};

export const proxySize: Experiment<Lab, Found> = {
  id: 'proxy-size',
  title: 'Scaling the proxy',
  includes: ({ recipe }) => recipe.proxySizes.length > 0,
  run,
  findings,
};
