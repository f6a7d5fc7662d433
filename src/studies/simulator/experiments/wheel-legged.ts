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
import { type Arm, algorithmNames, changesFor } from '../arms.js';
import { curveData, learningFigure } from '../curves.js';
import { ensembleExperiment, listOf, shareOf, signature } from '../ensemble.js';
import type { Lab } from '../lab.js';
import type { Task, WheelLeggedRecipe } from '../recipe.js';
import type { Trial, TrialsResult } from '../rollouts.js';
import type { Run } from '../training.js';

const tasks: readonly Task[] = ['stand', 'move'];
const wantedSpeed = 0.2;

interface One {
  readonly label: string;
  readonly task: Task;
  readonly run: Run;
  readonly trials: Artefact<TrialsResult>;
}

const onRobot = 'SAC on the robot itself';

/** `label` is the algorithm's name, or that of SAC which learns on the robot. */
const armOf = (recipe: WheelLeggedRecipe, task: Task, algorithm: Algorithm, label: string): Arm => {
  const { sizes, plan, actionRepeat, h2o } = recipe;
  return {
    name: `${label}, wheel-legged robot, ${task}`,
    algorithm,
    ...(algorithm === 'h2o' ? { h2o } : {}),
    env: 'WheelLegged',
    task,
    actionRepeat,
    real: wheelLeggedReal,
    sim: label === onRobot ? wheelLeggedReal : wheelLeggedSimulator,
    data: algorithm === 'sac' ? null : { kind: 'wheel-legged' },
    learner: changesFor(algorithm, recipe.learner[task]),
    sizes,
    plan,
  };
};

const run = (lab: Lab): Promise<One[]> => {
  const recipe = lab.recipe.wheelLegged!;
  const arms = recipe.algorithms.map((algorithm) => ({
    algorithm,
    label: algorithmNames[algorithm],
  }));
  if (recipe.onRobot) arms.push({ algorithm: 'sac', label: onRobot });
  const cases = tasks.flatMap((task) => arms.map((arm) => ({ task, ...arm })));
  return Promise.all(
    cases.map(async ({ task, algorithm, label }) => {
      const trained = await lab.train(armOf(recipe, task, algorithm, label));
      return { task, label, run: trained, trials: await lab.trials(trained) };
    }),
  );
};

type Members = TrialsResult['members'];

const pick = (found: readonly One[], task: Task, label: string): Members | undefined =>
  found.find((one) => one.task === task && one.label === label)?.trials.result.members;

const stands = ({ upright, largestX }: Trial): boolean => upright && largestX <= 0.3;

/** Of each member, the part of its trials in which it stands. */
const standing = (members: Members): number[] =>
  members.map((trials) => trials.filter(stands).length / trials.length);

const speedsOf = (members: Members): number[] =>
  members.map((trials) => meanOf(trials.map(({ speed }) => speed)));

/** Of each member, how far its mean speed is from the wanted one. */
const speedErrors = (members: Members): number[] =>
  speedsOf(members).map((speed) => Math.abs(speed - wantedSpeed));

/** A speed counts only while the robot stands. */
const moves = (trials: readonly Trial[]): boolean =>
  speedErrors([trials])[0]! <= 0.05 &&
  trials.filter(({ upright }) => upright).length >= 0.8 * trials.length;

const signaturesOf = (found: readonly One[]): Signature[] => {
  const { h2o, sac } = algorithmNames;
  const [stand, move] = [pick(found, 'stand', h2o), pick(found, 'move', h2o)];
  const [sacStand, sacMove] = [pick(found, 'stand', sac), pick(found, 'move', sac)];
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

interface Measure {
  readonly name: string;
  readonly title: string;
  readonly axis: string;
  readonly unit?: string;
  readonly tasks: readonly Task[];
  /** Of each member. */
  readonly values: (members: Members) => readonly number[];
}

const measures: readonly Measure[] = [
  {
    name: 'wheel-legged-trials',
    title: 'How long the robot stays upright',
    axis: 'time upright',
    unit: 's',
    tasks,
    values: (members) => members.map((trials) => meanOf(trials.map(({ seconds }) => seconds))),
  },
  {
    name: 'wheel-legged-standing',
    title: 'How often it stands within 0.3 m for the whole trial',
    axis: 'part of the trials',
    tasks: ['stand'],
    values: standing,
  },
  {
    name: 'wheel-legged-speed',
    title: 'How fast it moves, where 0.2 m/s is wanted',
    axis: 'mean speed while upright',
    unit: 'm/s',
    tasks: ['move'],
    values: speedsOf,
  },
];

const measureFigure = async (
  { name, title, axis, unit, tasks: shown, values }: Measure,
  found: readonly One[],
): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'bars',
    name,
    value: { title: axis, ...(unit === undefined ? {} : { unit }) },
    bars: found
      .filter(({ task }) => shown.includes(task))
      .map(({ task, label, trials }) => {
        const own = values(trials.result.members);
        const [low, high] = [Math.min(...own), Math.max(...own)];
        return { category: task, arm: label, value: meanOf(own), low, high };
      }),
  })),
  title,
  caption: 'Means over trials and seeds; whiskers from the lowest to the highest seed.',
  signatures: ['S3.8a', 'S3.8b', 'S3.8c'],
});

/** Of what learns in the simulator: the other learns where these are evaluated. */
const curvesOf = (found: readonly One[]): Promise<ReportFigure>[] =>
  tasks.map((task) =>
    learningFigure(
      { name: `wheel-legged-${task}`, title: `Learning to ${task}` },
      found.filter((one) => one.task === task && one.label !== onRobot),
    ),
  );

export const wheelLegged = ensembleExperiment<One[]>({
  id: 'wheel-legged',
  title: 'The robot on wheels and legs',
  includes: (recipe) => recipe.wheelLegged !== null,
  run,
  findings: async (_, found) => {
    const figures = measures.map((measure) => measureFigure(measure, found));
    const data = found.map(({ task, label, run: own, trials }) => ({
      task,
      ...curveData([{ label, run: own }]),
      trials: trials.result.members,
    }));
    return {
      signatures: signaturesOf(found),
      figures: await Promise.all([...figures, ...curvesOf(found)]),
      data: { runs: data },
    };
  },
});
