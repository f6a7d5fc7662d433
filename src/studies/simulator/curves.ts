// Reading the curves of runs: ends, means along the way, and what they look like.
import { meanOf } from '../../numbers.js';
import { type LineChart, type Point, armOverSeeds } from '../../report/chart.js';
import { renderChart } from '../../report/charts.js';
import type { ReportFigure } from '../../report/report.js';
import type { LearnerMetrics, TrainingEvaluation } from '../../control/index.js';
import type { Run } from './training.js';

export interface Labelled {
  readonly label: string;
  readonly run: Run;
  /** Of its lines, the same in all figures; default its place. */
  readonly look?: number;
}

type Kind = 'real' | 'sim';

const returnOf = (kind: Kind, evaluation: TrainingEvaluation, member: number): number | null => {
  const { realReturn, simReturn } = evaluation.members[member]!;
  return kind === 'real' ? realReturn : simReturn;
};

const membersOf = ({ result }: Run): number[] => [...result.readings.keys()];

/** Of each member, the mean return over the evaluations that `within` takes. */
const meansWithin = (run: Run, kind: Kind, within: readonly TrainingEvaluation[]): number[] =>
  membersOf(run).map((member) =>
    meanOf(within.map((evaluation) => returnOf(kind, evaluation, member)!)),
  );

/** Of each member, over the last three evaluations. */
export const endOf = (run: Run, kind: Kind = 'real'): number[] =>
  meansWithin(run, kind, run.result.curve.slice(-3));

/** Of each member, over the evaluations of the last two thirds of the run. */
export const lateOf = (run: Run): number[] => {
  const { curve } = run.result;
  const last = curve.at(-1)!.step;
  return meansWithin(
    run,
    'real',
    curve.filter(({ step }) => 3 * step >= last),
  );
};

/** A metric of each member at the evaluation nearest to a step. */
export const metricAt = (run: Run, name: keyof LearnerMetrics, step: number): number[] => {
  const distance = (evaluation: TrainingEvaluation): number => Math.abs(evaluation.step - step);
  const nearest = run.result.curve.reduce((best, each) =>
    distance(each) < distance(best) ? each : best,
  );
  return nearest.members.map(({ metrics }) => metrics[name]!);
};

/** Differences of two lists of members of the same seeds. */
export const minus = (a: readonly number[], b: readonly number[]): number[] =>
  a.map((value, i) => value - b[i]!);

export const band = 'Lines are means over seeds; bands go from the lowest to the highest seed.';

const panelOf = (
  name: string,
  title: string,
  runs: readonly Labelled[],
  value: (evaluation: TrainingEvaluation, member: number) => number | null | undefined,
  axis: string,
): LineChart & { readonly title: string } => ({
  kind: 'lines',
  name,
  title,
  x: { title: 'updates', format: '~s' },
  y: { title: axis },
  arms: runs.map(({ label, run, look }, i) => {
    const members = membersOf(run).map((member): Point[] =>
      run.result.curve.flatMap((evaluation) => {
        const y = value(evaluation, member);
        return typeof y === 'number' ? [{ x: evaluation.step, y }] : [];
      }),
    );
    return { ...armOverSeeds(label, members), look: look ?? i };
  }),
});

interface FigureText {
  readonly name: string;
  readonly title: string;
  readonly caption?: string;
  readonly claim?: string;
  readonly signatures?: readonly string[];
}

const described = ({ title, caption = '', claim, signatures }: FigureText) => ({
  title,
  caption: caption === '' ? band : `${caption} ${band}`,
  ...(claim === undefined ? {} : { claim }),
  ...(signatures ? { signatures } : {}),
});

/** Returns in the real system and in the simulator, side by side on the same axes. */
export const learningFigure = async (
  text: FigureText,
  runs: readonly Labelled[],
): Promise<ReportFigure> => {
  const inSim = runs.filter(({ run }) => run.arm.algorithm !== 'cql');
  const panel = (kind: Kind, title: string, of: readonly Labelled[]) =>
    panelOf(
      `${text.name}-${kind}`,
      title,
      of,
      (evaluation, member) => returnOf(kind, evaluation, member),
      'return',
    );
  const figure = await renderChart({
    kind: 'multiples',
    name: text.name,
    columns: 2,
    width: 760,
    panels: [panel('real', 'In the real system', runs), panel('sim', 'In the simulator', inSim)],
  });
  return { ...figure, ...described(text) };
};

/** A metric of training, for the runs that have it. */
export const metricFigure = async (
  text: FigureText,
  runs: readonly Labelled[],
  metrics: readonly { readonly name: keyof LearnerMetrics; readonly title: string }[],
): Promise<ReportFigure> => {
  const figure = await renderChart({
    kind: 'multiples',
    name: text.name,
    columns: 2,
    width: 760,
    ownAxes: true,
    panels: metrics.map(({ name, title }) =>
      panelOf(
        `${text.name}-${name.toLowerCase()}`,
        title,
        runs,
        (evaluation, member) => evaluation.members[member]!.metrics[name],
        title,
      ),
    ),
  });
  return { ...figure, ...described(text) };
};

/** For result.json. */
export const curveData = (runs: readonly Labelled[]) =>
  Object.fromEntries(
    runs.map(({ label, run }) => [
      label,
      {
        real: endOf(run),
        sim: run.arm.algorithm === 'cql' ? null : endOf(run, 'sim'),
      },
    ]),
  );
