import test from 'ava';
import type { DynamicsGap } from '../../src/control/environments/environment.js';
import { recordPoses } from '../../src/control/environments/evaluate.js';
import { describeEnv, makeEnv } from '../../src/control/environments/make.js';
import { loadMujoco } from '../../src/control/environments/mujoco.js';
import { posesToSvg } from '../../src/control/environments/poses.js';
import { code } from './helpers.js';

const obs = new Float32Array(17);

test('bad input is refused with its reason', async (t) => {
  using env = await makeEnv('HalfCheetah');
  env.reset(obs);
  const step = (action: Float32Array, out = obs): string =>
    code(t.throws(() => env.step(action, out)));
  const broken = new Float32Array(6);
  broken[2] = NaN;
  t.is(step(broken), 'NON_FINITE');
  t.regex(t.throws(() => env.step(broken, obs)).message, /Action 2 .* NaN/);
  t.is(step(new Float32Array(5)), 'OPTION_INVALID');
  t.is(step(new Float32Array(6), new Float32Array(16)), 'OPTION_INVALID');
  t.is(
    code(
      t.throws(() => {
        env.setState(new Float64Array(3));
      }),
    ),
    'OPTION_INVALID',
  );
  t.is(
    code(
      t.throws(() => {
        env.setGap({ gravity: -1 });
      }),
    ),
    'OPTION_INVALID',
  );
  t.regex(
    t.throws(() => {
      env.setGap({ mass: 2 });
    }).message,
    /no gap "mass".*gravity, friction/,
  );
  t.regex(
    t.throws(() => {
      env.setGap({ gravitiy: 2 } as DynamicsGap);
    }).message,
    /Did you mean "gravity"/,
  );
  t.is(code(await t.throwsAsync(makeEnv('Cheetah' as 'Hopper'))), 'OPTION_INVALID');
  t.is(code(await t.throwsAsync(makeEnv('Hopper', { task: 'move' }))), 'OPTION_INVALID');
  t.is(code(await t.throwsAsync(makeEnv('Hopper', { actionRepeat: 2 }))), 'OPTION_INVALID');
  t.is(code(await t.throwsAsync(makeEnv('WheelLegged', { actionRepeat: 0 }))), 'OPTION_INVALID');
  env.close();
  env.close();
  t.is(
    code(
      t.throws(() => {
        env.reset(obs);
      }),
    ),
    'DISPOSED',
  );
  t.is(code(t.throws(() => env.pose())), 'DISPOSED');
});

test('without the physics, or with another version, the error says what to install', async (t) => {
  const missing = Object.assign(new Error("Cannot find package '@mujoco/mujoco'"), {
    code: 'ERR_MODULE_NOT_FOUND',
  });
  const absent = await t.throwsAsync(loadMujoco(() => Promise.reject(missing)));
  t.is(code(absent), 'ADDON_NOT_FOUND');
  t.regex(absent.message, /npm install @mujoco\/mujoco@3\.14\.0/);
  const old = { mj_versionString: () => '3.3.8' };
  const stale = await t.throwsAsync(
    loadMujoco(() => Promise.resolve({ default: () => Promise.resolve(old) })),
  );
  t.is(code(stale), 'ADDON_STALE');
  t.regex(stale.message, /3\.3\.8.*3\.14\.0/);
});

test('a spec is known without the physics, and hashes the model', async (t) => {
  const { obsDim, actDim, refMin, refMax, xmlHash, engine } = await describeEnv('Walker2d');
  t.deepEqual([obsDim, actDim, refMin, refMax], [17, 6, 1.629008, 4592.3]);
  t.is(engine, '@mujoco/mujoco 3.14.0');
  t.regex(xmlHash, /^[0-9a-f]{64}$/);
  t.not(xmlHash, (await describeEnv('HalfCheetah')).xmlHash);
});

test('poses are drawn as figures with their times', async (t) => {
  using env = await makeEnv('HalfCheetah', { maxEpisodeSteps: 40 });
  const poses = recordPoses(env, (_, action) => action.fill(0.5), { poses: 4 });
  t.deepEqual(
    poses.map(({ seconds }) => Math.round(seconds * 100) / 100),
    [0.5, 1, 1.5, 2],
  );
  // Torso, head and two legs of three parts.
  t.is(poses[0]!.pose.segments.length, 8);
  const torso = poses[0]!.pose.segments[0]!;
  t.true(Math.abs(Math.hypot(torso.x2 - torso.x1, torso.z2 - torso.z1) - 1) < 1e-6);
  const svg = posesToSvg(poses, { title: 'Gravity & friction', alt: 'Four poses' });
  t.is(svg.match(/<line /g)!.length, 4 * 8 + 1);
  t.regex(svg, /Gravity &amp; friction/);
  t.regex(svg, /aria-label="Four poses"/);
  t.regex(svg, />1.50 s</);
  t.false(/NaN|undefined/.test(svg));
  t.throws(() => posesToSvg([]), { message: /no poses/ });
});
