// The sweep of coverage: how DPO, HyPO and online RLHF part as the behaviour policy covers less of the
// reference. The paper proves such a gap (section 4) and does not measure it.
import { bootstrapInterval, mean } from '../../../../evaluation/statistics.js';
import { renderChart } from '../../../../report/charts.js';
import type { ReportFigure } from '../../../../report/report.js';
import type { Experiment, Findings } from '../../../experiment.js';
import { type Signature, above, measuredSignature } from '../../../signature.js';
import type { Lab } from '../../lab.js';
import { decimals, overSeeds } from '../../toys/curves.js';
import type { DataResult } from '../data.js';
import { type ArmRun, methodsOf } from '../lab.js';
import type { Point } from '../measure.js';
import type { Behaviour } from '../recipe.js';
import {
  bandOf,
  bandText,
  endNumbers,
  ends,
  heldOut,
  klAxis,
  klOf,
  pairedWins,
  winRateAxis,
  winRateOf,
} from '../summary.js';

const methods = ['dpo', 'hypo', 'rlhf'] as const;
type Name = (typeof methods)[number];

const labels: Readonly<Record<Name, string>> = { dpo: 'DPO', hypo: 'HyPO', rlhf: 'online RLHF' };

/** By behaviour, in the recipe's order. */
type Found = readonly Readonly<Record<Name, ArmRun>>[];

const run = async ({ text }: Lab, seed: number): Promise<Found> => {
  const lab = text!;
  const own = methodsOf(lab.recipe);
  const found: Record<Name, ArmRun>[] = [];
  for (const behaviour of lab.recipe.coverage) {
    found.push({
      dpo: await lab.arm({ method: own.dpo, seed, behaviour }),
      hypo: await lab.arm({ method: own.hypo, seed, behaviour }),
      rlhf: await lab.arm({ method: own.rlhf, seed, behaviour }),
    });
  }
  return found;
};

interface Level extends Readonly<Record<Name, readonly ArmRun[]>> {
  readonly behaviour: Behaviour;
  readonly data: DataResult;
  readonly accuracy: number;
}

const paper = 'section 4 (theory); the sweep is ours';

const excess = ({ dpo, hypo }: Level): number[] => {
  const ours = ends(hypo, klOf);
  return ends(dpo, klOf).map((kl, i) => kl - ours[i]!);
};

/** By prompt: what the method gains over DPO at the narrowest coverage, less that at the widest. */
const growthOf = (name: 'hypo' | 'rlhf', wide: Level, narrow: Level): number[] => {
  const atWide = pairedWins(wide[name], wide.dpo);
  return pairedWins(narrow[name], narrow.dpo).map((gain, prompt) => gain - atWide[prompt]!);
};

const winSignature = (
  id: string,
  name: 'hypo' | 'rlhf',
  levels: readonly Level[],
): Signature => {
  const [wide, narrow] = [levels[0]!, levels.at(-1)!];
  const growth = growthOf(name, wide, narrow);
  const gains = levels.map(
    (level) => `${level.behaviour.name}: ${decimals(mean(pairedWins(level[name], level.dpo)), 3)}`,
  );
  return measuredSignature(
    {
      id,
      claim: `the win rate of ${labels[name]} over that of DPO grows from full to least coverage`,
      paper,
    },
    { value: mean(growth), interval: bootstrapInterval(growth, mean) },
    above(0),
    `win rate less that of DPO, by behaviour policy: ${gains.join('; ')}`,
  );
};

const signaturesOf = (levels: readonly Level[]): Signature[] => {
  const [wide, narrow] = [levels[0]!, levels.at(-1)!];
  const atWide = excess(wide);
  const kls = levels.map(
    (level) => `${level.behaviour.name}: ${decimals(mean(excess(level)), 2)}`,
  );
  return [
    measuredSignature(
      {
        id: 'B2.1',
        claim: 'KL of DPO less that of HyPO grows from full to least coverage',
        paper,
      },
      overSeeds(excess(narrow).map((kl, i) => kl - atWide[i]!)),
      above(0),
      `KL of DPO less that of HyPO, nats, by behaviour policy: ${kls.join('; ')}`,
    ),
    winSignature('B2.2', 'hypo', levels),
    winSignature('B2.3', 'rlhf', levels),
  ];
};

const figureOf = async (
  name: 'kl' | 'win-rate',
  of: (point: Point) => number,
  levels: readonly Level[],
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'lines',
    name: `text-coverage-${name}`,
    x: { title: 'KL(μ‖π_ref): how narrow the data is', unit: 'nats' },
    y: name === 'kl' ? klAxis : winRateAxis,
    arms: methods.map((method) => ({
      label: labels[method],
      points: levels.map((level) => ({
        ...bandOf(level.data.divergence, ends(level[method], of)),
        note: level.behaviour.name,
      })),
    })),
  })),
  title: `Coverage against the ${name === 'kl' ? 'KL' : 'win rate'} at the end`,
  caption:
    `Behaviour policies from full coverage to the left: ${levels
      .map(({ behaviour }) => behaviour.name)
      .join('; ')}. Each has its own D and reward model. ${heldOut} ${bandText}`,
  claim: 'Offline contrast needs global coverage; with samples of the policy local coverage will do.',
  signatures: name === 'kl' ? ['B2.1'] : ['B2.2', 'B2.3'],
});

const findings = async ({ text }: Lab, found: readonly Found[]): Promise<Findings> => {
  const levels: Level[] = [];
  for (const [i, behaviour] of text!.recipe.coverage.entries()) {
    const of = (name: Name): ArmRun[] => found.map((seed) => seed[i]![name]);
    levels.push({
      behaviour,
      data: (await text!.data({ behaviour })).result,
      accuracy: (await text!.rewardModel({ behaviour })).result.validationAccuracy,
      dpo: of('dpo'),
      hypo: of('hypo'),
      rlhf: of('rlhf'),
    });
  }
  return {
    signatures: signaturesOf(levels),
    figures: [
      await figureOf('kl', klOf, levels),
      await figureOf('win-rate', winRateOf, levels),
    ],
    data: {
      levels: levels.map(({ behaviour, data, accuracy, dpo, hypo, rlhf }) => ({
        behaviour: { ...behaviour },
        data: { ...data },
        rewardModelAccuracy: accuracy,
        dpo: endNumbers(dpo),
        hypo: endNumbers(hypo),
        rlhf: endNumbers(rlhf),
      })),
    },
  };
};

export const coverageSweep: Experiment<Lab, Found> = {
  id: 'coverage-sweep',
  title: 'From full to narrow coverage',
  includes: ({ recipe }) => recipe.text !== null && recipe.text.coverage.length > 1,
  run,
  findings,
};
