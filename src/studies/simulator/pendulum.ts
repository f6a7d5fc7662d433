// Grades the discriminators of H2O on two pendulums, whose transitions are known in closed form.
import {
  type AnalyticEnv,
  type Learner,
  type Transitions,
  collect,
  createLearner,
  exactDivergence,
  exactLogRatio,
  uniformPolicy,
} from '../../control/index.js';
import { makePendulum } from '../../control/environments/pendulum.js';
import { random } from '../../data/random.js';
import { meanOf } from '../../numbers.js';
import { spearman } from '../performance-gap/peaks.js';
import type { Artefact, StageContext } from '../study.js';
import { orderOf, partsOf } from './instruments.js';
import type { Lab } from './lab.js';
import type { PendulumRecipe, Recipe } from './recipe.js';

export type Spread = 'one-step' | 'paper-code';

export interface MemberGrade {
  /** Mean û of the held-out simulated transitions by their rising true divergence. */
  readonly bins: readonly { readonly divergence: number; readonly gap: number }[];
  /** Spearman of û with the divergence, over the bins and over the transitions; null without a gap. */
  readonly binnedRank: number | null;
  readonly rank: number | null;
  /** Of the log-ratio with the exact one, clamped to the reach of the logits; null without a gap. */
  readonly correlation: number | null;
  /** Root mean square of their difference, nats. */
  readonly error: number;
  readonly meanW: number;
  /** Deviation of drawn next velocities over the noise of the dynamics. */
  readonly ratio: number;
  /** Exact and estimated log-ratios. */
  readonly sample: readonly { readonly x: number; readonly y: number }[];
}

export interface GradeResult extends Readonly<Record<string, unknown>> {
  readonly members: readonly MemberGrade[];
}

const reach = 4;
const clamp = (value: number): number => Math.min(reach, Math.max(-reach, value));

/** Null where one side has no spread. */
const correlationOf = (a: readonly number[], b: readonly number[]): number | null => {
  const [ma, mb] = [meanOf(a), meanOf(b)];
  const product = (x: readonly number[], mx: number, y: readonly number[], my: number): number =>
    x.reduce((sum, value, i) => sum + (value - mx) * (y[i]! - my), 0);
  const spread = Math.sqrt(product(a, ma, a, ma) * product(b, mb, b, mb));
  return spread === 0 ? null : product(a, ma, b, mb) / spread;
};

interface Truth {
  readonly divergence: readonly number[];
  readonly logRatio: readonly number[];
}

const truthOf = (real: AnalyticEnv, sim: AnalyticEnv, held: Transitions): Truth => {
  const { obsDim, actDim } = real.spec;
  const rows = Array.from({ length: held.n }, (_, i) => {
    const obs = held.obs.subarray(i * obsDim, (i + 1) * obsDim);
    const act = held.act.subarray(i * actDim, (i + 1) * actDim);
    const next = held.next.subarray(i * obsDim, (i + 1) * obsDim);
    return {
      divergence: exactDivergence(real, sim, obs, act),
      logRatio: clamp(exactLogRatio(real, sim, obs, act, next)),
    };
  });
  return {
    divergence: rows.map(({ divergence }) => divergence),
    logRatio: rows.map(({ logRatio }) => logRatio),
  };
};

const deviationOf = (values: readonly number[]): number => {
  const middle = meanOf(values);
  return Math.sqrt(meanOf(values.map((value) => (value - middle) ** 2)));
};

/** Of drawn next velocities, as the engine has it. */
const spreadOf = (spread: Spread, { obs, next, n }: Transitions): number => {
  const velocity = Array.from({ length: n }, (_, i) => obs[3 * i + 2]!);
  if (spread === 'one-step')
    return deviationOf(velocity.map((value, i) => next[3 * i + 2]! - value));
  // The released code has ten rows of zeros for each state.
  const [square, middle] = [meanOf(velocity.map((value) => value * value)), meanOf(velocity)];
  return Math.sqrt(square / 11 - (middle / 11) ** 2);
};

const gradeMember = (
  learner: Learner,
  member: number,
  held: Transitions,
  { divergence, logRatio }: Truth,
  { bins, ratio }: { readonly bins: number; readonly ratio: number },
): MemberGrade => {
  const found = learner.inspect(held, member);
  const estimated = [...found.logRatio!];
  const gap = [...found.gap!];
  const binned = partsOf(orderOf(divergence), bins).map((part) => ({
    divergence: meanOf(part.map((i) => divergence[i]!)),
    gap: meanOf(part.map((i) => gap[i]!)),
  }));
  const every = Math.max(1, Math.floor(held.n / 300));
  const rows = estimated.map((_, i) => i).filter((i) => i % every === 0);
  return {
    bins: binned,
    binnedRank: spearman(
      binned.map((bin) => bin.divergence),
      binned.map((bin) => bin.gap),
    ),
    // Of a part: ranks are quadratic in the count.
    rank: spearman(
      rows.map((i) => divergence[i]!),
      rows.map((i) => gap[i]!),
    ),
    correlation: correlationOf(estimated, logRatio),
    error: Math.sqrt(meanOf(estimated.map((value, i) => (value - logRatio[i]!) ** 2))),
    meanW: meanOf(estimated.map((value) => Math.min(1, Math.exp(value)))),
    ratio,
    sample: rows.map((i) => ({ x: logRatio[i]!, y: estimated[i]! })),
  };
};

interface Case {
  readonly gravity: number;
  readonly spread: Spread;
}

const grade = async (
  recipe: PendulumRecipe,
  device: Recipe['device'],
  { gravity, spread }: Case,
  seeds: readonly number[],
  { signal, tick }: StageContext,
): Promise<GradeResult> => {
  const { processNoise } = recipe;
  using real = makePendulum({ seed: 1n, gap: { processNoise } });
  using sim = makePendulum({ seed: 2n, gap: { gravity, processNoise } });
  const gather = async (env: AnalyticEnv, count: number, purpose: string): Promise<Transitions> =>
    (await collect(env, uniformPolicy(random(1, 'pendulum', purpose)), count, signal)).columns;
  const data = await gather(real, recipe.real, 'real');
  const simulated = await gather(sim, recipe.simulated, 'simulated');
  const held = await gather(sim, recipe.heldOut, 'held out');
  const { obsDim, actDim } = real.spec;
  using learner = createLearner(
    { algorithm: 'h2o', device, obsDim, actDim, seeds, ...recipe.sizes, h2o: { nextStd: spread } },
    data,
  );
  for (const member of seeds.keys()) learner.push(simulated, member);
  for (let done = 0; done < recipe.updates;) {
    const count = Math.min(1000, recipe.updates - done);
    await learner.update(count, signal ? { signal } : {});
    done += count;
    tick(done, recipe.updates);
  }
  const truth = truthOf(real, sim, held);
  const [noise = NaN] = real.transition(held.obs, held.act).deviation;
  const options = { bins: recipe.bins, ratio: spreadOf(spread, data) / noise };
  return { members: seeds.map((_, member) => gradeMember(learner, member, held, truth, options)) };
};

/** Trains discriminators of all seeds on the same transitions, and grades them on others. */
export const gradePendulum = (lab: Lab, given: Case): Promise<Artefact<GradeResult>> => {
  const { seeds, device, pendulum: recipe } = lab.recipe;
  const place = device === 'cpu' ? {} : { device }; // keys from before are the CPU's
  return lab.stage({
    name: `pendulum, gravity times ${given.gravity}, next states ${given.spread}`,
    settings: { recipe: { ...recipe! }, ...given, seeds, ...place },
    run: (context) => grade(recipe!, device, given, seeds, context),
  });
};
