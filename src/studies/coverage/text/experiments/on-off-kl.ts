// What offline data sees of the KL (the motivation of Song et al. 2024): log pi / pi_ref along the
// responses of D beside the KL on fresh samples, for DPO.
import { renderChart } from '../../../../report/charts.js';
import type { ReportFigure } from '../../../../report/report.js';
import type { Experiment, Findings } from '../../../experiment.js';
import { type Signature, below, measuredSignature } from '../../../signature.js';
import type { Lab } from '../../lab.js';
import { list, overSeeds } from '../../toys/curves.js';
import { type ArmRun, methodsOf } from '../lab.js';
import type { Point } from '../measure.js';
import { alongTraining, bandText, ends, klOf, stepAxis } from '../summary.js';

const run = async ({ text }: Lab, seed: number): Promise<ArmRun> => {
  await text!.start();
  return text!.arm({ method: methodsOf(text!.recipe).dpo, seed });
};

const dataOf = ({ onData }: Point): number => onData;

const signature = (runs: readonly ArmRun[]): Signature => {
  const [seen, true_] = [ends(runs, dataOf), ends(runs, klOf)];
  return measuredSignature(
    {
      id: 'S2.8',
      claim: 'DPO at the end: E_D[log π/π_ref] is below the KL on fresh samples',
      paper: 'the motivation of HyPO',
    },
    overSeeds(seen.map((value, i) => value - true_[i]!)),
    below(0),
    `the difference, nats. By seed, along D: ${list(seen)}; on fresh samples: ${list(true_)}. The ` +
      'mean log-ratio of samples of the reference itself would be -KL(π_ref‖π): it cannot be above 0',
  );
};

const figure = async (start: Point, runs: readonly ArmRun[]): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'lines',
    name: 'text-on-off-kl',
    x: stepAxis,
    y: { title: 'log π/π_ref of a response, mean', unit: 'nats' },
    arms: [
      alongTraining('on fresh samples (the KL)', start, runs, klOf),
      alongTraining('on chosen responses of D', start, runs, ({ onChosen }) => onChosen),
      alongTraining('on rejected responses of D', start, runs, ({ onRejected }) => onRejected),
    ],
  })),
  title: 'DPO: what the data sees of the drift',
  caption:
    'Fresh samples are of held-out prompts; D is what DPO trains on. Both of its sides become less ' +
    `likely, which no term of the loss is about. ${bandText}`,
  claim: 'Only samples of the policy reveal how far it went.',
  signatures: ['S2.8'],
});

const findings = async ({ text }: Lab, runs: readonly ArmRun[]): Promise<Findings> => ({
  signatures: [signature(runs)],
  figures: [await figure((await text!.start()).result.point, runs)],
  data: { onData: ends(runs, dataOf), kl: ends(runs, klOf) },
});

export const onOffKl: Experiment<Lab, ArmRun> = {
  id: 'on-off-kl',
  title: 'The KL as the data sees it',
  includes: ({ recipe }) => recipe.text !== null,
  run,
  findings,
};
