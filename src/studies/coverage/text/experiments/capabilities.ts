// What else the policy could do before (Song et al. 2024, the leaderboard of general capabilities):
// perplexities of held-out texts of the data, of SFT, and of a task that has nothing to do with it.
import { mean } from '../../../../evaluation/statistics.js';
import { renderChart } from '../../../../report/charts.js';
import type { ReportFigure } from '../../../../report/report.js';
import type { Experiment, Findings } from '../../../experiment.js';
import { type Signature, below, measuredSignature } from '../../../signature.js';
import type { Lab } from '../../lab.js';
import { list, overSeeds } from '../../toys/curves.js';
import { type ArmRun, methodsOf } from '../lab.js';
import type { Capabilities } from '../measure.js';
import { capabilitiesOf } from '../summary.js';

const methods = ['dpo', 'hypo', 'rlhf'] as const;
type Name = (typeof methods)[number];
type Found = Readonly<Record<Name, ArmRun>>;
type Runs = Readonly<Record<Name, readonly ArmRun[]>>;

const labels: Readonly<Record<Name, string>> = { dpo: 'DPO', hypo: 'HyPO', rlhf: 'online RLHF' };

const run = async ({ text }: Lab, seed: number): Promise<Found> => {
  const lab = text!;
  const own = methodsOf(lab.recipe);
  await lab.start();
  return {
    dpo: await lab.arm({ method: own.dpo, seed }),
    hypo: await lab.arm({ method: own.hypo, seed }),
    rlhf: await lab.arm({ method: own.rlhf, seed }),
  };
};

const probes = ['data', 'sft', 'unrelated'] as const;

const signature = (
  id: string,
  probe: 'sft' | 'unrelated',
  { dpo, hypo }: Runs,
  start: Capabilities,
): Signature => {
  const [ours, theirs] = [capabilitiesOf(hypo, probe), capabilitiesOf(dpo, probe)];
  const what = probe === 'sft' ? 'held-out texts of SFT' : 'texts of the unrelated task';
  return measuredSignature(
    {
      id,
      claim: `the perplexity of ${what} is lower after HyPO than after DPO`,
      paper: 'table of general capabilities',
    },
    overSeeds(ours.map((value, i) => Math.log(value / theirs[i]!))),
    below(0),
    'log of the ratio: nats of a token. Perplexities by seed: SFT policy ' +
      `${list([start[probe]], 3)}; DPO ${list(theirs, 3)}; HyPO ${list(ours, 3)}`,
  );
};

const figureOf = async (
  runs: Runs,
  start: Capabilities,
  titles: Readonly<Record<keyof Capabilities, string>>,
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'bars',
    name: 'text-capabilities',
    value: { title: 'perplexity of a token' },
    bars: probes.flatMap((probe) => [
      { category: titles[probe], arm: 'SFT', value: start[probe] },
      ...methods.map((name) => {
        const values = capabilitiesOf(runs[name], probe);
        const [low, high] = [Math.min(...values), Math.max(...values)];
        return { category: titles[probe], arm: labels[name], value: mean(values), low, high };
      }),
    ]),
  })),
  title: 'What is forgotten',
  caption:
    'Held-out texts, at the end of training. The unrelated task is part of SFT and of nothing ' +
    'after it. Bars are means over seeds, whiskers the lowest and highest seed.',
  claim: 'General capabilities do not degrade.',
  signatures: ['B2.4', 'B2.5'],
});

const findings = async ({ text }: Lab, found: readonly Found[]): Promise<Findings> => {
  const { world, unrelated } = text!.recipe;
  const of = (name: Name): ArmRun[] => found.map((seed) => seed[name]);
  const runs: Runs = { dpo: of('dpo'), hypo: of('hypo'), rlhf: of('rlhf') };
  const start = (await text!.start()).result.capabilities;
  const titles = {
    data: 'chosen responses of D',
    sft: `texts of SFT (${world})`,
    unrelated: `unrelated task (${unrelated})`,
  };
  const numbers = (name: Name) => ({
    data: capabilitiesOf(runs[name], 'data'),
    sft: capabilitiesOf(runs[name], 'sft'),
    unrelated: capabilitiesOf(runs[name], 'unrelated'),
  });
  return {
    signatures: [
      signature('B2.4', 'sft', runs, start),
      signature('B2.5', 'unrelated', runs, start),
    ],
    figures: [await figureOf(runs, start, titles)],
    data: {
      start: { ...start },
      dpo: numbers('dpo'),
      hypo: numbers('hypo'),
      rlhf: numbers('rlhf'),
    },
  };
};

export const capabilities: Experiment<Lab, Found> = {
  id: 'capabilities',
  title: 'What is forgotten',
  includes: ({ recipe }) => recipe.text !== null,
  run,
  findings,
};
