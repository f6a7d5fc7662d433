// KL along training (Song et al. 2024, figure 1): DPO against HyPO, with online RLHF beside them.
import { renderChart } from '../../../../report/charts.js';
import type { ReportFigure } from '../../../../report/report.js';
import type { Experiment, Findings } from '../../../experiment.js';
import { type Signature, above, measuredSignature } from '../../../signature.js';
import type { Lab } from '../../lab.js';
import { decimals } from '../../toys/curves.js';
import { type ArmRun, methodsOf } from '../lab.js';
import type { Point } from '../measure.js';
import {
  alongTraining,
  bandText,
  endNumbers,
  heldOut,
  klAxis,
  klOf,
  medianAt,
  shareAtMost,
  stepAxis,
  stepsOf,
  winRateAxis,
  winRateOf,
} from '../summary.js';

interface Found {
  readonly dpo: ArmRun;
  readonly hypo: ArmRun;
  readonly rlhf: ArmRun;
}

type Runs = Readonly<Record<keyof Found, readonly ArmRun[]>>;

const run = async ({ text }: Lab, seed: number): Promise<Found> => {
  const lab = text!;
  const { dpo, hypo, rlhf } = methodsOf(lab.recipe);
  await lab.start();
  return {
    dpo: await lab.arm({ method: dpo, seed }),
    hypo: await lab.arm({ method: hypo, seed }),
    rlhf: await lab.arm({ method: rlhf, seed }),
  };
};

/** Of the steps. */
const warmUp = 0.05;

const signature = ({ dpo, hypo }: Runs): Signature => {
  const all = stepsOf(dpo);
  const steps = all.filter((step) => step >= warmUp * all.at(-1)!);
  const pairs = steps.map((step) => [medianAt(hypo, step, klOf), medianAt(dpo, step, klOf)]);
  const at = ({ result }: ArmRun): number[] =>
    steps.map((step) => klOf(result.points.find((point) => point.step === step)!));
  const seeds = hypo.map((run, i) => ({ ours: at(run), theirs: at(dpo[i]!) }));
  const texts = pairs.map(
    ([ours, theirs], i) => `${steps[i]}: ${decimals(ours!)} against ${decimals(theirs!)}`,
  );
  return measuredSignature(
    {
      id: 'S2.2',
      claim: 'the KL of HyPO is at most that of DPO at 90 % of the measurements after warm-up',
      paper: 'figure 1',
    },
    shareAtMost(seeds),
    above(0.9),
    `medians over ${dpo.length} seeds, HyPO against DPO, by step: ${texts.join('; ')}`,
  );
};

const figure = async (
  name: 'kl' | 'win-rate',
  start: Point,
  { dpo, hypo, rlhf }: Runs,
): Promise<ReportFigure> => {
  const of = name === 'kl' ? klOf : winRateOf;
  return {
    ...(await renderChart({
      kind: 'lines',
      name: `text-${name}-curves`,
      x: stepAxis,
      y: name === 'kl' ? klAxis : winRateAxis,
      arms: [
        alongTraining('DPO', start, dpo, of),
        alongTraining('HyPO', start, hypo, of),
        alongTraining('online RLHF', start, rlhf, of),
      ],
    })),
    title: name === 'kl' ? 'KL along training' : 'Win rate along training',
    caption: `${heldOut} ${bandText}`,
    ...(name === 'kl'
      ? { claim: 'HyPO stays clearly below DPO all along.', signatures: ['S2.2'] }
      : {}),
  };
};

const findings = async ({ text }: Lab, found: readonly Found[]): Promise<Findings> => {
  const runs: Runs = {
    dpo: found.map(({ dpo }) => dpo),
    hypo: found.map(({ hypo }) => hypo),
    rlhf: found.map(({ rlhf }) => rlhf),
  };
  const { point } = (await text!.start()).result;
  return {
    signatures: [signature(runs)],
    figures: [await figure('kl', point, runs), await figure('win-rate', point, runs)],
    data: {
      dpo: endNumbers(runs.dpo),
      hypo: endNumbers(runs.hypo),
      rlhf: endNumbers(runs.rlhf),
    },
  };
};

export const klCurves: Experiment<Lab, Found> = {
  id: 'kl-curves',
  title: 'KL along training',
  includes: ({ recipe }) => recipe.text !== null,
  run,
  findings,
};
