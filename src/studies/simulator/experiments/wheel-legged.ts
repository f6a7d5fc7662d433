// The robot on wheels and legs: standing and moving, learned in a textbook model of it, tried on the
// robot as it is met (another mass, delay, noise).
import { wheelLeggedReal, wheelLeggedSimulator } from '../../../control/index.js';
import type { Algorithm } from '../../../control/index.js';
import { meanOf } from '../../../numbers.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import { above, below } from '../../signature.js';
import type { Signature } from '../../signature.js';
import type { Artefact } from '../../study.js';
import { type Arm, type Task, algorithmNames } from '../arms.js';
import { curveData, learningFigure } from '../curves.js';
import { ensembleExperiment, listOf, shareOf, signature } from '../ensemble.js';
import type { Lab } from '../lab.js';
import type { WheelLeggedRecipe } from '../recipe.js';
import type { Trial, TrialsResult } from '../rollouts.js';
import type { Run } from '../training.js';

const tasks: readonly Task[] = ['stand', 'move'];
const wantedSpeed = 0.2;

interface One {
  readonly task: Task;
  readonly algorithm: Algorithm;
  readonly run: Run;
  readonly trials: Artefact<TrialsResult>;
}

const armOf = ({ sizes, plan }: WheelLeggedRecipe, task: Task, algorithm: Algorithm): Arm => ({
  name: `${algorithmNames[algorithm]}, wheel-legged robot, ${task}`,
  algorithm,
  env: 'WheelLegged',
  task,
  real: wheelLeggedReal,
  sim: wheelLeggedSimulator,
  data: algorithm === 'sac' ? null : { kind: 'wheel-legged' },
  sizes,
  plan,
});

const run = (lab: Lab): Promise<One[]> => {
  const recipe = lab.recipe.wheelLegged!;
  const cases = tasks.flatMap((task) =>
    recipe.algorithms.map((algorithm) => ({ task, algorithm })),
  );
  return Promise.all(
    cases.map(async ({ task, algorithm }) => {
      const trained = await lab.train(armOf(recipe, task, algorithm));
      return { task, algorithm, run: trained, trials: await lab.trials(trained) };
    }),
  );
};

const pick = (found: readonly One[], task: Task, algorithm: Algorithm) =>
  found.find((one) => one.task === task && one.algorithm === algorithm)?.trials.result.members;

const stands = ({ upright, largestX }: Trial): boolean => upright && largestX <= 0.3;

/** Of each member, the part of its trials in which it stands. */
const standing = (members: readonly (readonly Trial[])[]): number[] =>
  members.map((trials) => trials.filter(stands).length / trials.length);

/** Of each member, how far its mean speed is from the wanted one. */
const speedErrors = (members: readonly (readonly Trial[])[]): number[] =>
  members.map((trials) => Math.abs(meanOf(trials.map(({ speed }) => speed)) - wantedSpeed));

/** A speed counts only while the robot stands. */
const moves = (trials: readonly Trial[]): boolean =>
  speedErrors([trials])[0]! <= 0.05 &&
  trials.filter(({ upright }) => upright).length >= 0.8 * trials.length;

const signaturesOf = (found: readonly One[]): Signature[] => {
  const [stand, move] = [pick(found, 'stand', 'h2o'), pick(found, 'move', 'h2o')];
  const [sacStand, sacMove] = [pick(found, 'stand', 'sac'), pick(found, 'move', 'sac')];
  if (!stand || !move) return [];
  const fails =
    sacStand && sacMove
      ? sacStand.map((trials, i) => standing([trials])[0]! < 0.8 || !moves(sacMove[i]!))
      : null;
  const speeds = speedErrors(move);
  return [
    signature(
      'S3.8a',
      'H2O stands within 0.3 m for 30 s in 80 % of its trials on the robot, or more',
      { value: meanOf(standing(stand)), interval: null },
      above(0.8),
      `Part of the trials, by seed: ${listOf(standing(stand), 2)}.`,
    ),
    signature(
      'S3.8b',
      'H2O moves at 0.2 m/s, to 0.05 m/s',
      { value: meanOf(speeds), interval: null },
      below(0.05),
      `Distance of the mean speed, by seed: ${listOf(speeds, 3)}. Trials to their ends: ` +
        `${listOf(
          move.map((trials) => meanOf(trials.map(({ upright }) => Number(upright)))),
          2,
        )}.`,
    ),
    ...(fails
      ? [
          signature(
            'S3.8c',
            'SAC in the simulator fails at standing or at moving on the robot, on every seed',
            shareOf(fails),
            above(1),
            `Standing, part of the trials: ${listOf(standing(sacStand!), 2)}. Distance of the mean ` +
              `speed: ${listOf(speedErrors(sacMove!), 3)}.`,
          ),
        ]
      : []),
  ];
};

const trialFigure = async (found: readonly One[]): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'bars',
    name: 'wheel-legged-trials',
    value: { title: 'time upright', unit: 's' },
    bars: found.map(({ task, algorithm, trials }) => {
      const seconds = trials.result.members.map((own) => meanOf(own.map((each) => each.seconds)));
      return {
        category: task,
        arm: algorithmNames[algorithm],
        value: meanOf(seconds),
        low: Math.min(...seconds),
        high: Math.max(...seconds),
      };
    }),
  })),
  title: 'How long the robot stays upright',
  caption: 'Means over trials and seeds; whiskers from the lowest to the highest seed.',
  signatures: ['S3.8a', 'S3.8b', 'S3.8c'],
});

export const wheelLegged = ensembleExperiment<One[]>({
  id: 'wheel-legged',
  title: 'The robot on wheels and legs',
  includes: (recipe) => recipe.wheelLegged !== null,
  run,
  findings: async (_, found) => {
    const curves = await Promise.all(
      tasks.map((task) =>
        learningFigure(
          { name: `wheel-legged-${task}`, title: `Learning to ${task}` },
          found
            .filter((one) => one.task === task)
            .map(({ algorithm, run: own }) => ({ label: algorithmNames[algorithm], run: own })),
        ),
      ),
    );
    const data = found.map(({ task, algorithm, run: own, trials }) => ({
      task,
      ...curveData([{ label: algorithm, run: own }]),
      trials: trials.result.members,
    }));
    return {
      signatures: signaturesOf(found),
      figures: [await trialFigure(found), ...curves],
      data: { runs: data },
    };
  },
});
