import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { readDataset, writeDataset } from '../../src/control/data/folder.js';
import {
  TransitionLog,
  joinColumns,
  sampleColumns,
  sliceColumns,
} from '../../src/control/data/transitions.js';
import { describeEnv } from '../../src/control/environments/make.js';
import { temporaryFolder as folder } from '../checkpoint/helpers.js';
import { code } from './helpers.js';

const small = async (
  t: ExecutionContext,
): Promise<{
  path: string;
  spec: Awaited<ReturnType<typeof describeEnv>>;
}> => {
  const spec = await describeEnv('Pendulum');
  const log = new TransitionLog(3, 1, 1);
  for (let i = 0; i < 10; i += 1) {
    log.push(
      Float32Array.of(i, 1, 2),
      Float32Array.of(0.5),
      -i,
      Float32Array.of(i, 3, 4),
      i === 9,
      false,
    );
  }
  const path = join(await folder(t), 'set');
  const extra = new Map([['more.bin', Uint8Array.of(1, 2, 3)]]);
  await writeDataset(path, spec, { columns: log.columns(), about: { seed: '1' }, extra });
  return { path, spec };
};

test('a dataset is read back as it was written', async (t) => {
  const { path, spec } = await small(t);
  const { columns, about, extra } = await readDataset(path, spec);
  t.is(columns.n, 10);
  t.deepEqual([...columns.obs.slice(27)], [9, 1, 2]);
  t.deepEqual([...columns.rew], [-0, -1, -2, -3, -4, -5, -6, -7, -8, -9]);
  t.deepEqual([...columns.done], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
  t.deepEqual(about, { seed: '1' });
  t.deepEqual([...extra.get('more.bin')!], [1, 2, 3]);
  t.deepEqual(joinColumns(sliceColumns(columns, 0, 4), sliceColumns(columns, 4, 10)), columns);
});

test('a subset keeps rows whole and in order, and is the same for a seed', async (t) => {
  const { path, spec } = await small(t);
  const { columns } = await readDataset(path, spec);
  const subset = sampleColumns(columns, 4, 3);
  const rows = [0, 1, 2, 3].map((i) => subset.obs[3 * i]!);
  t.is(new Set(rows).size, 4);
  t.deepEqual(
    rows,
    rows.toSorted((a, b) => a - b),
  );
  t.deepEqual(
    [...subset.rew].map((value) => value + 0),
    rows.map((row) => -row + 0),
  );
  t.deepEqual(sampleColumns(columns, 4, 3), subset);
  t.notDeepEqual(sampleColumns(columns, 4, 4), subset);
  t.deepEqual(sampleColumns(columns, 10, 1), columns);
  t.is(code(t.throws(() => sampleColumns(columns, 11, 1))), 'OPTION_INVALID');
});

test('a dataset that is not what its header says is refused', async (t) => {
  const refused = async (damage: (path: string) => void): Promise<string> => {
    const { path, spec } = await small(t);
    damage(path);
    const error = await t.throwsAsync(readDataset(path, spec));
    t.is(code(error), 'DATA_INVALID');
    return error.message;
  };
  const edit = (path: string, name: string, change: (text: string) => string): void => {
    writeFileSync(join(path, name), change(readFileSync(join(path, name), 'utf8')));
  };
  t.regex(
    await refused((path) => {
      const whole = readFileSync(join(path, 'rewards.f32'));
      writeFileSync(join(path, 'rewards.f32'), whole.subarray(0, 22));
    }),
    /rewards\.f32 has 22 bytes, its header says 40/,
  );
  t.regex(
    await refused((path) => {
      const bytes = readFileSync(join(path, 'actions.f32'));
      bytes[0]! ^= 1;
      writeFileSync(join(path, 'actions.f32'), bytes);
    }),
    /SHA-256/,
  );
  t.regex(
    await refused((path) => {
      edit(path, 'header.json', (text) =>
        text.replace(/"xmlHash": "[0-9a-f]{4}/, '"xmlHash": "ffff'),
      );
    }),
    /another environment: the hash of the model \(xmlHash\) is ffff/,
  );
  t.regex(
    await refused((path) => {
      edit(path, 'header.json', (text) => text.replace('pendulum 1', 'pendulum 0'));
    }),
    /engine is alignlab pendulum 0 there/,
  );
  t.regex(
    await refused((path) => {
      rmSync(join(path, 'timeouts.u8'));
    }),
    /timeouts\.u8/,
  );
  t.regex(
    await refused((path) => {
      rmSync(join(path, 'header.json'));
    }),
    /has no header\.json/,
  );
  const { path } = await small(t);
  const error = await t.throwsAsync(readDataset(path, await describeEnv('WheelLegged')));
  t.regex(error.message, /id is Pendulum there and WheelLegged here/);
});

test('numbers that are not finite are named and never stored', async (t) => {
  const spec = await describeEnv('Pendulum');
  const log = new TransitionLog(3, 1);
  const obs = Float32Array.of(1, 2, 3);
  log.push(obs, Float32Array.of(0), 0, obs, false, false);
  log.push(obs, Float32Array.of(NaN), 0, obs, false, false);
  const path = join(await folder(t), 'set');
  const dataset = { columns: log.columns(), about: {}, extra: new Map<string, Uint8Array>() };
  const error = await t.throwsAsync(writeDataset(path, spec, dataset));
  t.regex(error.message, /column act holds NaN in transition 1/);
  t.throws(() => statSync(path), { code: 'ENOENT' });
});
