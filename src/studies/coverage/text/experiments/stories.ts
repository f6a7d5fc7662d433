// The held-out reverse KL on real text: a checkpoint and preferences that the user names. Where none are
// given, the experiment says that it was not tested.
import { renderChart } from '../../../../report/charts.js';
import type { ReportFigure } from '../../../../report/report.js';
import type { Experiment, Findings } from '../../../experiment.js';
import { type Claim, above, below, measuredSignature, notTested } from '../../../signature.js';
import type { Artefact } from '../../../study.js';
import type { Lab } from '../../lab.js';
import { list, overSeeds } from '../../toys/curves.js';
import { type StoriesPoint, type StoriesResult, storiesArm } from '../stories.js';
import { bandOf, bandText, shareAtMost, stepAxis } from '../summary.js';

interface Found {
  readonly dpo: Artefact<StoriesResult>;
  readonly hypo: Artefact<StoriesResult>;
}

const run = async (lab: Lab, seed: number): Promise<Found | null> => {
  const recipe = lab.recipe.stories!;
  if (recipe.files === null) return null;
  const { arm, lambda, samples, baseline } = recipe;
  const { beta } = arm;
  return {
    dpo: await storiesArm(lab, recipe, { name: 'dpo', beta }, seed),
    hypo: await storiesArm(lab, recipe, { name: 'hypo', beta, lambda, samples, baseline }, seed),
  };
};

const claims = {
  kl: {
    id: 'S2.2-files',
    claim: 'real text: the KL of HyPO is at most that of DPO at 90 % of the measurements',
    paper: 'figure 1',
  },
  data: {
    id: 'S2.8-files',
    claim: 'real text, DPO at the end: E_D[log π/π_ref] is below the KL on fresh samples',
    paper: 'the motivation of HyPO',
  },
} as const satisfies Record<string, Claim>;

type Series = readonly (readonly StoriesPoint[])[];

const armOf = (label: string, runs: Series, of: (point: StoriesPoint) => number) => ({
  label,
  points: [
    { x: 0, y: 0 },
    ...runs[0]!.map(({ step }, i) =>
      bandOf(
        step,
        runs.map((points) => of(points[i]!)),
      ),
    ),
  ],
});

const figure = async (dpo: Series, hypo: Series): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'lines',
    name: 'text-stories-kl',
    x: stepAxis,
    y: { title: 'log π/π_ref of a response, mean', unit: 'nats' },
    arms: [
      armOf('DPO, fresh samples (the KL)', dpo, ({ kl }) => kl),
      armOf('HyPO, fresh samples (the KL)', hypo, ({ kl }) => kl),
      armOf('DPO, on D', dpo, ({ onData }) => onData),
      armOf('HyPO, on D', hypo, ({ onData }) => onData),
    ],
  })),
  title: 'Real text: KL along training',
  caption: `The checkpoint and preferences given; prompts that are not among the data. ${bandText}`,
  claim: 'HyPO stays clearly below DPO all along.',
  signatures: [claims.kl.id, claims.data.id],
});

const findings = async (_: Lab, found: readonly (Found | null)[]): Promise<Findings> => {
  const runs = found.filter((seed) => seed !== null);
  if (runs.length === 0) {
    const why = 'no files were given: --model FOLDER --preferences FILE --prompts FILE';
    const open = Object.values(claims).map(({ id, claim, paper }) =>
      notTested(id, claim, paper, why),
    );
    return { signatures: open, figures: [] };
  }
  const dpo = runs.map((seed) => seed.dpo.result.points);
  const hypo = runs.map((seed) => seed.hypo.result.points);
  const kls = (points: readonly StoriesPoint[]): number[] => points.map(({ kl }) => kl);
  const seeds = hypo.map((points, i) => ({ ours: kls(points), theirs: kls(dpo[i]!) }));
  const [seen, true_] = [
    dpo.map((points) => points.at(-1)!.onData),
    dpo.map((points) => points.at(-1)!.kl),
  ];
  const ends = `at the end, by seed: DPO ${list(true_)}, HyPO ${list(hypo.map((p) => p.at(-1)!.kl))}`;
  const { pairs, prompts } = runs[0]!.dpo.result;
  return {
    signatures: [
      measuredSignature(
        claims.kl,
        shareAtMost(seeds),
        above(0.9),
        `medians over seeds; ${ends} nats; ${pairs} pairs, ${prompts} held-out prompts`,
      ),
      measuredSignature(
        claims.data,
        overSeeds(seen.map((value, i) => value - true_[i]!)),
        below(0),
        `the difference, nats; along D by seed: ${list(seen)}`,
      ),
    ],
    figures: [await figure(dpo, hypo)],
    data: { dpo, hypo, pairs, prompts },
  };
};

export const stories: Experiment<Lab, Found | null> = {
  id: 'stories',
  title: 'Real text',
  includes: ({ recipe }) => recipe.stories !== null,
  run,
  findings,
};
