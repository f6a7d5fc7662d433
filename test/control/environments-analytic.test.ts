import test from 'ava';
import type { Policy } from '../../src/control/environments/evaluate.js';
import { evaluatePolicy } from '../../src/control/environments/evaluate.js';
import type { DynamicsGap, Env, EnvOptions } from '../../src/control/environments/environment.js';
import {
  type AnalyticEnv,
  exactDivergence,
  exactLogRatio,
} from '../../src/control/environments/gaussian.js';
import { makePendulum } from '../../src/control/environments/pendulum.js';
import {
  makeWheelLegged,
  wheelLeggedReal,
  wheelLeggedSimulator,
} from '../../src/control/environments/wheel-legged.js';
import { random } from '../../src/data/random.js';
import { uniformPolicy } from '../../src/control/data/collect.js';
import { code } from './helpers.js';

const makers = { Pendulum: makePendulum, WheelLegged: makeWheelLegged };
type Name = keyof typeof makers;
const names: readonly Name[] = ['Pendulum', 'WheelLegged'];

/** Next observations of one state and action under the noise of many seeds. */
const samples = (env: AnalyticEnv, action: Float32Array, count: number): Float32Array[] => {
  env.seed(1n);
  env.reset(new Float32Array(env.spec.obsDim));
  const state = env.getState();
  return Array.from({ length: count }, (_, i) => {
    state[0] = i; // the low half of the seed
    env.setState(state);
    const next = new Float32Array(env.spec.obsDim);
    env.step(action, next);
    return next;
  });
};

const start = (env: Env): Float32Array => {
  const obs = new Float32Array(env.spec.obsDim);
  env.seed(1n);
  env.reset(obs);
  return obs;
};

const action = Float32Array.of(0.4);
const count = 4000;

for (const name of names) {
  test(`${name}: what a step does is the Gaussian that it says`, (t) => {
    using env = makers[name]({ gap: { gravity: 1.2, mass: 0.8, friction: 2 } });
    const { mean, deviation } = env.transition(start(env), action);
    const found = samples(env, action, count).map((next) => env.velocities(next));
    mean.forEach((expected, i) => {
      const values = found.map((velocities) => velocities[i]!);
      const average = values.reduce((a, b) => a + b, 0) / count;
      const variance = values.reduce((a, b) => a + (b - average) ** 2, 0) / (count - 1);
      // Four standard errors, of the mean and of the variance of a Gaussian; 1e-6 is f32's share.
      t.true(Math.abs(average - expected) < (4 * deviation[i]!) / Math.sqrt(count) + 1e-6);
      t.true(Math.abs(variance / deviation[i]! ** 2 - 1) < 4 * Math.sqrt(2 / count));
    });
  });

  test(`${name}: the log-ratio is that of two densities, and its mean their divergence`, (t) => {
    using real = makers[name]({});
    // Gaps of about one standard deviation, so that the estimates below have finite, small errors.
    const gap: DynamicsGap =
      name === 'Pendulum' ? { gravity: 1.2, processNoise: 0.9 } : { mass: 0.95, processNoise: 0.9 };
    using sim = makers[name]({ gap });
    const obs = start(real);
    const ratios = samples(sim, action, count).map((next) =>
      exactLogRatio(real, sim, obs, action, next),
    );
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / count;
    const error = (values: readonly number[]): number => {
      const middle = mean(values);
      return Math.sqrt(mean(values.map((v) => (v - middle) ** 2)) / count);
    };
    const exact = exactDivergence(real, sim, obs, action);
    t.true(exact > 0.01, `${exact}`);
    // E_sim[-log(P_real/P_sim)] = KL(P_sim||P_real), and E_sim[P_real/P_sim] = 1.
    t.true(Math.abs(mean(ratios.map((r) => -r)) - exact) < 4 * error(ratios));
    const weights = ratios.map(Math.exp);
    t.true(Math.abs(mean(weights) - 1) < 4 * error(weights));

    sim.setGap({});
    t.is(exactDivergence(real, sim, obs, action), 0);
    t.is(exactLogRatio(real, sim, obs, action, samples(sim, action, 1)[0]!), 0);
  });

  test(`${name}: no closed form is claimed where there is none`, (t) => {
    const gaps = [{ jointNoise: 0.1 }, { delay: 1 }, { processNoise: 0 }];
    const held: readonly EnvOptions[] = name === 'WheelLegged' ? [{ actionRepeat: 2 }] : [];
    for (const options of [...gaps.map((gap) => ({ gap })), ...held]) {
      using env = makers[name](options);
      t.is(code(t.throws(() => env.transition(start(env), action))), 'OPTION_INVALID');
    }
  });

  test(`${name} goes on from a saved state and repeats a seed`, (t) => {
    using env = makers[name]({ seed: 5n, gap: { delay: 3, jointNoise: 0.2 } });
    const obs = new Float32Array(env.spec.obsDim);
    const go = (steps: number): number[] =>
      Array.from({ length: steps }, (_, i) => {
        const { reward } = env.step(Float32Array.of(0.02 * Math.sin(i)), obs);
        return reward + obs[1]!;
      });
    env.reset(obs);
    go(10);
    const state = env.getState();
    const expected = go(10);
    env.setState(state);
    t.deepEqual(go(10), expected);
    env.seed(5n);
    env.reset(obs);
    go(10);
    t.deepEqual(go(10), expected);
  });
}

test('Pendulum: without drag, torque and noise, energy stays', (t) => {
  using env = makePendulum({ gap: { friction: 0, processNoise: 0 }, maxEpisodeSteps: 1000 });
  const obs = start(env);
  // (1/2)(1/3) v² + (1/2) g cos(angle), of 1 kg and 1 m.
  const energy = (): number => obs[2]! ** 2 / 6 + (9.81 / 2) * obs[0]!;
  const energies = Array.from({ length: 1000 }, () => {
    env.step(Float32Array.of(0), obs);
    return energy();
  });
  // The integrator is symplectic: energy swings with the step of 0.05 s and does not drift.
  const [low, high] = [Math.min(...energies), Math.max(...energies)];
  t.true(high - low < 1.5, `${low} to ${high}`);
  const mean = (values: readonly number[]): number =>
    values.reduce((a, b) => a + b, 0) / values.length;
  t.true(Math.abs(mean(energies.slice(0, 500)) - mean(energies.slice(500))) < 0.1);
});

test('WheelLegged: accelerations balance force and power, which its equations do not name', (t) => {
  // A = M + m + J/r², B = M l, C = I + M l², with the robot's masses and lengths.
  const [a, b, c] = [12.1 + 1.2 + 0.006 / 0.01, 12.1 * 0.2, 0.15 + 12.1 * 0.04];
  const [radius, dt, g] = [0.1, 0.005, 9.81];
  using env = makeWheelLegged({ gap: { friction: 0 } });
  const stream = random(1, 'states');
  for (let i = 0; i < 50; i += 1) {
    const [v, p, w, u] = Array.from({ length: 4 }, () => 2 * stream.uniform() - 1) as number[] & {
      length: 4;
    };
    const { mean } = env.transition([0, v!, p!, w!], [u!]);
    const [x, y] = [(mean[0]! - v!) / dt, (mean[1]! - w!) / dt];
    const [cosine, sine] = [Math.cos(p!), Math.sin(p!)];
    // d/dt (A v + B cos(p) w) is the force of the wheels on the ground.
    const force = a * x + b * cosine * y - b * sine * w! * w!;
    t.true(Math.abs(force - (3 * u!) / radius) < 1e-9 * 30);
    // d/dt (A v²/2 + B cos(p) v w + C w²/2 + B g cos(p)) is the power of the motor.
    const power =
      a * v! * x +
      b * cosine * (x * w! + v! * y) -
      b * sine * w! * v! * w! +
      c * w! * y -
      b * g * sine * w!;
    t.true(Math.abs(power - 3 * u! * (v! / radius - w!)) < 1e-9 * 30);
  }
});

/** The linear regulator of the nominal robot (unit costs), in N m, with a speed to hold. */
const regulator =
  (speed: number): Policy =>
  (obs, out) => {
    const position = speed === 0 ? 0.938 * obs[0]! : 0;
    const torque = position + 2.262 * (obs[1]! - speed) + 19.775 * obs[2]! + 2.375 * obs[3]!;
    out[0] = torque / 3;
  };

test('WheelLegged: a regulator stands and moves, on the robot and in its simulator', async (t) => {
  for (const gap of [{}, wheelLeggedReal, wheelLeggedSimulator]) {
    using standing = makeWheelLegged({ gap });
    const stood = await evaluatePolicy(standing, regulator(0), { episodes: 3 });
    t.is(stood.truncated, 3);
    // 30 a step, less what the start's lean of up to 0.05 rad costs to take back.
    t.true(stood.meanReturn > 28_000 && stood.meanReturn <= 30_000, `${stood.meanReturn}`);
    t.true(Math.abs(stood.score - stood.meanReturn / 300) < 1e-9);
    using moving = makeWheelLegged({ gap, task: 'move' });
    const moved = await evaluatePolicy(moving, regulator(0.2), { episodes: 3 });
    t.is(moved.truncated, 3);
    t.true(moved.meanReturn > 13_500 && moved.meanReturn <= 15_000, `${moved.meanReturn}`);
  }
  using falling = makeWheelLegged({});
  const { terminated } = await evaluatePolicy(falling, (_, out) => out.fill(0), { episodes: 3 });
  t.is(terminated, 3);
});

test('WheelLegged: at 25 Hz the simulator’s regulator falls on the robot, its own stands', async (t) => {
  // Gains of the linear regulators with the rewards' costs, a discount of 0.99 and no delay, N m.
  const own = [0.46, 1.29, 15.54, 1.73];
  const simulated = [0.44, 1.1, 7.51, 1.09];
  const ends = async (gap: DynamicsGap, gains: readonly number[]): Promise<number> => {
    using env = makeWheelLegged({ gap, actionRepeat: 8, maxEpisodeSteps: 750 });
    const policy: Policy = (obs, out) => {
      out[0] = gains.reduce((torque, gain, i) => torque + gain * obs[i]!, 0) / 3;
    };
    return (await evaluatePolicy(env, policy, { episodes: 5 })).truncated;
  };
  t.is(await ends(wheelLeggedReal, own), 5);
  t.is(await ends(wheelLeggedSimulator, own), 5);
  t.is(await ends(wheelLeggedSimulator, simulated), 5);
  t.is(await ends(wheelLeggedReal, simulated), 0);
});

test('WheelLegged: rewards are those of the two tasks, on the raw torque', (t) => {
  for (const task of ['stand', 'move'] as const) {
    using env = makeWheelLegged({ task });
    const obs = start(env);
    const { reward } = env.step(Float32Array.of(0.5), obs);
    const squares = obs.reduce((total, value) => total + value * value, 0);
    const expected = task === 'stand' ? 30 - 1.5 ** 2 - squares : 15 - (obs[1]! - 0.2) ** 2 - 2.25;
    t.true(Math.abs(reward - expected) < 1e-6); // observations are f32
  }
});

test('WheelLegged: an action that is held is that action at each step of the physics', (t) => {
  const gap = { ...wheelLeggedReal, jointNoise: 0.1 };
  using each = makeWheelLegged({ gap, seed: 3n });
  using held = makeWheelLegged({ gap, seed: 3n, actionRepeat: 8, maxEpisodeSteps: 30 });
  t.is(held.spec.stepSeconds, 0.04);
  t.is(held.spec.refMax, 900);
  const [a, b] = [new Float32Array(4), new Float32Array(4)];
  each.reset(a);
  held.reset(b);
  const stand = regulator(0);
  const out = Float32Array.of(0);
  for (let step = 1; step <= 30; step += 1) {
    stand(b, out);
    const { reward, terminated, truncated } = held.step(out, b);
    const rewards = Array.from({ length: 8 }, () => each.step(out, a).reward);
    t.deepEqual(a, b); // delay and noise are the physics' own
    t.true(Math.abs(reward - rewards.reduce((x, y) => x + y) / 8) < 1e-12); // sums of 8 doubles
    t.false(terminated);
    t.is(truncated, step === 30);
  }
});

test('WheelLegged: a held action ends where the robot falls', (t) => {
  using env = makeWheelLegged({ actionRepeat: 1000 });
  using each = makeWheelLegged({});
  const [a, b] = [start(each), start(env)];
  const rewards: number[] = [];
  for (let fallen = false; !fallen;) {
    const { reward, terminated } = each.step(Float32Array.of(0), a);
    rewards.push(reward);
    fallen = terminated;
  }
  t.true(rewards.length < 1000);
  const { reward, terminated } = env.step(Float32Array.of(0), b);
  t.true(terminated);
  t.deepEqual(a, b);
  const mean = rewards.reduce((x, y) => x + y) / rewards.length;
  t.true(Math.abs(reward - mean) < 1e-10); // a sum of some hundred doubles
});

/** Pumps energy until the top is in reach, then a linear regulator. */
const swingUp: Policy = (obs, out) => {
  const [cosine, sine, velocity] = [obs[0]!, obs[1]!, obs[2]!];
  const angle = Math.atan2(sine, cosine);
  const lacking = (9.81 / 2) * (1 - cosine) - velocity ** 2 / 6;
  const near = Math.abs(angle) < 0.4;
  out[0] = near ? -(12 * angle + 3 * velocity) / 2 : Math.sign(velocity) * Math.sign(lacking);
};

test('Pendulum: its reference returns are those of random actions and of a swing-up', async (t) => {
  using env = makePendulum({});
  const low = await evaluatePolicy(env, uniformPolicy(random(1, 'policy')), { episodes: 100 });
  const high = await evaluatePolicy(env, swingUp, { episodes: 100 });
  t.log(`random ${low.meanReturn.toFixed(0)}, swing-up ${high.meanReturn.toFixed(0)}`);
  // Constants rounded to 50; episodes vary by 100 to 300, so 100 of them by at most 30.
  t.true(Math.abs(low.meanReturn - env.spec.refMin) < 100, `${low.meanReturn}`);
  t.true(Math.abs(high.meanReturn - env.spec.refMax) < 100, `${high.meanReturn}`);
});

test('a step costs about a microsecond', (t) => {
  for (const name of names) {
    using env = makers[name]({ maxEpisodeSteps: 1e6 });
    const obs = start(env);
    const rest = Float32Array.of(0);
    const run = (steps: number): number => {
      const { user } = process.cpuUsage();
      for (let i = 0; i < steps; i += 1) if (env.step(rest, obs).terminated) env.reset(obs);
      return (process.cpuUsage().user - user) / steps;
    };
    run(20_000);
    // Ten times what was measured, for slow machines: it guards against allocation in the step.
    t.true(run(50_000) < 8, name);
  }
});
