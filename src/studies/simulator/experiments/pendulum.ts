// Two pendulums that differ in gravity, with Gaussian noise: the log-ratio of their dynamics and the
// divergence have closed forms, by which discriminators and û are graded.
import { meanOf } from '../../../numbers.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import { above, below } from '../../signature.js';
import type { Signature } from '../../signature.js';
import type { Artefact } from '../../study.js';
import { ensembleExperiment, listOf, overSeeds, signature } from '../ensemble.js';
import { type GradeResult, type MemberGrade, type Spread, gradePendulum } from '../pendulum.js';

interface Graded {
  readonly gravity: number;
  readonly spread: Spread;
  readonly stage: Artefact<GradeResult>;
}

type Found = readonly Graded[];

const of = (found: Found, spread: Spread): readonly MemberGrade[] =>
  found.filter((each) => each.spread === spread).at(-1)!.stage.result.members;

type Rank = 'binnedRank' | 'rank' | 'correlation';

/** The graded case has a gap, without which there is nothing to rank. */
const ranksOf = (grades: readonly MemberGrade[], name: Rank): number[] =>
  grades.map((grade) => grade[name]!);

const weightSignature = (found: Found): Signature => {
  const rising = found.filter(({ spread }) => spread === 'one-step');
  const means = rising.map(({ stage }) => meanOf(stage.result.members.map(({ meanW }) => meanW)));
  const steps = means.slice(1).map((value, i) => value - means[i]!);
  return signature(
    'S3.9b',
    'the mean weight w falls as the gap grows',
    { value: Math.max(...steps), interval: null },
    below(0),
    `The largest change from one gap to the next. Gravity times ` +
      `${rising.map(({ gravity }) => gravity).join(', ')}: ${listOf(means, 3)}.`,
  );
};

const signaturesOf = (found: Found): Signature[] => {
  const [own, faithful] = [of(found, 'one-step'), of(found, 'paper-code')];
  const binned = ranksOf(own, 'binnedRank');
  const { ratio } = own[0]!;
  return [
    signature(
      'S3.3a',
      'û ranks with the true divergence over bins of it: Spearman 0.9 or more',
      overSeeds(binned),
      above(0.9),
      `Next states drawn with the deviation of one step’s change, ${ratio.toFixed(1)} times the ` +
        `dynamics’ noise. By seed: ${listOf(binned, 3)}. With the deviation of the released code: ` +
        `${listOf(ranksOf(faithful, 'binnedRank'), 3)}.`,
    ),
    signature(
      'S3.3b',
      'per transition û ranks with the true divergence: Spearman 0.5 or more',
      overSeeds(ranksOf(own, 'rank')),
      above(0.5),
      `Of one draw of ten next states each, ${ratio.toFixed(1)} times the dynamics’ noise apart. ` +
        `By seed: ${listOf(ranksOf(own, 'rank'), 3)}.`,
    ),
    signature(
      'S3.3c',
      'per transition it does better than chance with next states as the released code draws them',
      overSeeds(ranksOf(faithful, 'rank')),
      above(0),
      `By seed: ${listOf(ranksOf(faithful, 'rank'), 3)}.`,
    ),
    weightSignature(found),
  ];
};

const binPoints = (grades: readonly MemberGrade[]) =>
  grades[0]!.bins.map(({ divergence }, k) => {
    const ys = grades.map(({ bins }) => bins[k]!.gap);
    return { x: divergence, y: meanOf(ys), low: Math.min(...ys), high: Math.max(...ys) };
  });

const figuresOf = async (found: Found): Promise<ReportFigure[]> => {
  const gap = await renderChart({
    kind: 'lines',
    name: 'pendulum-gap',
    x: { title: 'true divergence D(P_sim ‖ P_real)', unit: 'nats' },
    y: { title: 'û', unit: 'nats' },
    arms: [
      { label: 'next states by one step’s change', points: binPoints(of(found, 'one-step')) },
      { label: 'as in the released code', points: binPoints(of(found, 'paper-code')) },
    ],
  });
  const [first] = of(found, 'one-step');
  const ratio = await renderChart({
    kind: 'scatter',
    name: 'pendulum-log-ratio',
    x: { title: 'exact ln P_real / P_sim', unit: 'nats' },
    y: { title: 'discriminators', unit: 'nats' },
    clouds: [{ label: 'held-out transitions', points: first!.sample }],
  });
  return [
    {
      ...gap,
      title: 'The gap û against the truth',
      caption:
        'Bins of equally many held-out simulated transitions by their true divergence. Lines are ' +
        'means over seeds; bands go from the lowest to the highest seed.',
      signatures: ['S3.3a', 'S3.3b', 'S3.3c'],
    },
    {
      ...ratio,
      title: 'The discriminators against the truth',
      caption:
        `Held-out simulated transitions, first seed. Correlation with the exact ratio, which is ` +
        `held within the reach of the logits: ${first!.correlation!.toFixed(3)}; root mean square ` +
        `difference ${first!.error.toFixed(2)} nats.`,
    },
  ];
};

export const pendulum = ensembleExperiment<Found>({
  id: 'pendulum',
  title: 'Discriminators and û against exact ratios',
  includes: (recipe) => recipe.pendulum !== null,
  run: (lab) => {
    const { gravities } = lab.recipe.pendulum!;
    const cases: Pick<Graded, 'gravity' | 'spread'>[] = [
      ...gravities.map((gravity) => ({ gravity, spread: 'one-step' as const })),
      { gravity: gravities.at(-1)!, spread: 'paper-code' },
    ];
    return Promise.all(
      cases.map(async (each) => ({ ...each, stage: await gradePendulum(lab, each) })),
    );
  },
  findings: async (_, found) => ({
    signatures: signaturesOf(found),
    figures: await figuresOf(found),
    data: {
      grades: found.map(({ gravity, spread, stage }) => ({
        gravity,
        nextStd: spread,
        members: stage.result.members.map(({ sample: __, ...rest }) => rest),
      })),
    },
  }),
});
