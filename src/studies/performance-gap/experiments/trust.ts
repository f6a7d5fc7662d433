// Beyond the paper: the trust of H2O (Niu et al. 2022, 2206.13464) in a simulator, given to the proxy.
// Online IPO at a beta at which it over-optimises the proxy, plain, on pairs weighted by how far
// their labels are to be trusted, with the penalty on those that are not, and with both.
import type { JsonObject } from '../../../checkpoint/json.js';
import { frontierCloud } from '../../../report/chart.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import { meanOf } from '../../../numbers.js';
import type { Experiment, Findings } from '../../experiment.js';
import {
  type Claim,
  type Signature,
  above,
  measuredSignature,
  notTested,
} from '../../signature.js';
import type { ArmRun, ArmSource } from '../arms.js';
import { type Lab, cloud } from '../lab.js';
import type { Point } from '../measure.js';
import { type Measured, ofMean, ofPeaks } from '../peaks.js';
import { type TrustAudit, areaUnderCurve, trustAudit } from '../trust-audit.js';
import {
  type Cloud,
  band,
  decimals,
  delta,
  klAxis,
  overSteps,
  stepAxis,
  winRateAxis,
} from './baseline-arms.js';
import { finalsOf, peakNumbers, stairs, withInterval } from './data-helpers.js';

const kinds = ['plain', 'weights', 'penalty', 'both'] as const;
export type TrustKind = (typeof kinds)[number];
type Each<Item> = Readonly<Record<TrustKind, Item>>;

const titles: Each<string> = {
  plain: 'online',
  weights: 'weights',
  penalty: 'penalty',
  both: 'weights and penalty',
};

const paper = 'beyond the paper; Niu et al. 2022 (2206.13464)';

const claims = {
  fall: {
    id: 'B7a',
    claim:
      'with weights and penalty of trust the online arm falls less from its best checkpoint to its ' +
      `last, by at least ${delta}`,
    paper,
  },
  peak: {
    id: 'B7b',
    claim: `… and its peak is not lower by ${delta}`,
    paper,
  },
  knows: {
    id: 'B7c',
    claim:
      'gaps are larger where the golden model says that the proxy is wrong: area under the curve ' +
      'above 0.55',
    paper,
  },
} as const satisfies Record<string, Claim>;

/** From the best checkpoint, held out, to the last. */
export const fallOf = (own: Cloud): Measured =>
  ofPeaks([own, finalsOf(own)], ([best, last]) => best! - last!);

/** By how much less `own` falls than `plain`. */
const savedOf = (plain: Cloud, own: Cloud): Measured =>
  ofPeaks([plain, finalsOf(plain), own, finalsOf(own)], ([a, b, c, d]) => a! - b! - (c! - d!));

const fallSignature = ({ plain, ...others }: Each<Cloud>): Signature => {
  const { id, claim } = claims.fall;
  const fall = fallOf(plain);
  const falls = kinds.map(
    (kind) => `${titles[kind]} ${withInterval(fallOf({ plain, ...others }[kind]))}`,
  );
  const note = `falls: ${falls.join(', ')}`;
  if (!(fall.interval[0] > 0)) {
    return notTested(id, claim, paper, `the plain arm does not stand out as falling; ${note}`);
  }
  return measuredSignature(claims.fall, savedOf(plain, others.both), above(delta), note);
};

export const trustSignatures = (
  clouds: Each<Cloud>,
  /** One of each seed, of the arm with both. */
  audits: readonly TrustAudit[],
): Signature[] => {
  const peaks = ofPeaks([clouds.both, clouds.plain], ([own, plain]) => own! - plain!);
  const areas = audits.flatMap((audit) => areaUnderCurve(audit) ?? []);
  const { id, claim } = claims.knows;
  return [
    fallSignature(clouds),
    measuredSignature(claims.peak, peaks, above(-delta), 'the value is the difference of peaks'),
    areas.length === 0
      ? notTested(id, claim, paper, 'the golden model finds no label wrong, or none right')
      : measuredSignature(
          claims.knows,
          ofMean(areas),
          above(0.55),
          `by seed ${areas.map(decimals).join(', ')}; the interval is over seeds`,
        ),
  ];
};

const sourceOf: Each<ArmSource> = {
  plain: { kind: 'online' },
  weights: { kind: 'online', trust: 'weights' },
  penalty: { kind: 'online', trust: 'gaps' },
  both: { kind: 'online', trust: 'weights' },
};

interface Found {
  readonly runs: Each<ArmRun>;
  readonly audit: TrustAudit;
}

const run = async (lab: Lab, seed: number): Promise<Found> => {
  const { beta, lambda } = lab.recipe.trust!;
  const of = (kind: TrustKind): Promise<ArmRun> => {
    const penalty = kind === 'penalty' || kind === 'both' ? { trust: lambda } : {};
    const objective = { name: 'ipo', beta, ...penalty } as const;
    return lab.arm({ ...lab.baseline(seed), objective, source: sourceOf[kind] });
  };
  const runs = {
    plain: await of('plain'),
    weights: await of('weights'),
    penalty: await of('penalty'),
    both: await of('both'),
  };
  const compared = { proxy: await lab.proxy(seed), arm: runs.both };
  return { runs, audit: (await trustAudit(lab, await lab.ground(), compared)).result };
};

const ids = Object.values(claims).map(({ id }) => id);

const frontierFigure = async (clouds: Each<Cloud>): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'scatter',
    name: 'trust-frontier',
    x: klAxis,
    y: winRateAxis,
    clouds: kinds.map((kind) => frontierCloud(titles[kind], clouds[kind])),
  })),
  title: 'Beyond the paper: is a proxy that is trusted less over-optimised less?',
  caption:
    `${stairs} Discriminators learn along the run to tell the proxy's labels from those of D_golden; ` +
    'weights and penalty are made of what they say.',
  signatures: ids,
});

const stepsFigure = async (
  lab: Lab,
  found: readonly Found[],
  name: string,
  title: string,
  of: (point: Point) => number,
): Promise<ReportFigure> => {
  const start = await lab.start();
  return {
    ...(await renderChart({
      kind: 'lines',
      name,
      x: stepAxis,
      y: winRateAxis,
      arms: kinds.map((kind) =>
        overSteps(
          titles[kind],
          start,
          found.map(({ runs }) => runs[kind]),
          of,
        ),
      ),
    })),
    title,
    caption: band,
    signatures: ids,
  };
};

const lastOf = (runs: readonly ArmRun[], of: (point: Point) => number): number =>
  meanOf(runs.map(({ result }) => of(result.points.at(-1)!)));

const findings = async (lab: Lab, found: readonly Found[]): Promise<Findings> => {
  const runsOf = (kind: TrustKind): ArmRun[] => found.map(({ runs }) => runs[kind]);
  const clouds: Each<Cloud> = {
    plain: await cloud(lab, runsOf('plain')),
    weights: await cloud(lab, runsOf('weights')),
    penalty: await cloud(lab, runsOf('penalty')),
    both: await cloud(lab, runsOf('both')),
  };
  const audits = found.map(({ audit }) => audit);
  const arms = kinds.map((kind) => ({
    arm: kind,
    ...peakNumbers(clouds[kind]),
    fall: fallOf(clouds[kind]),
    last: {
      kl: lastOf(runsOf(kind), ({ kl }) => kl),
      proxyWinRate: lastOf(runsOf(kind), ({ proxyWinRate }) => proxyWinRate),
      score: lastOf(runsOf(kind), ({ score }) => score),
      proxyScore: lastOf(runsOf(kind), ({ proxyScore }) => proxyScore),
    },
  }));
  return {
    signatures: trustSignatures(clouds, audits),
    figures: [
      await frontierFigure(clouds),
      await stepsFigure(lab, found, 'trust-golden', 'The truth over steps', (p) => p.winRate),
      await stepsFigure(lab, found, 'trust-proxy', 'The proxy over steps', (p) => p.proxyWinRate),
    ],
    data: {
      ...lab.recipe.trust!,
      arms,
      areaUnderCurve: audits.map(areaUnderCurve),
    } as unknown as JsonObject,
  };
};

export const trust: Experiment<Lab, Found> = {
  id: 'trust',
  title: 'Trust in the proxy',
  includes: ({ recipe }) => recipe.trust !== null,
  run,
  findings,
};
