import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serialize } from 'node:v8';
import test from 'ava';
import { importD4rl } from '../../src/control/data/d4rl.js';
import { type Hdf5Importer, readHdf5Columns } from '../../src/control/data/hdf5.js';
import { describeEnv } from '../../src/control/environments/make.js';
import { code } from './helpers.js';

const folder = mkdtempSync(join(tmpdir(), 'alignlab-d4rl-'));
test.after.always(() => {
  rmSync(folder, { recursive: true, force: true });
});

const spec = await describeEnv('Pendulum'); // 3 observations, 1 action

/** Two episodes: steps 0 to 2 end terminal, 3 to 5 at the time limit. */
const steps = [0, 1, 2, 3, 4, 5];
const observation = (i: number): number[] => [i, i + 0.25, i + 0.5];
const terminal = (i: number): boolean => i === 2;
const timeout = (i: number): boolean => i === 5;

interface Column {
  readonly name: string;
  readonly data: readonly unknown[];
}

const types: Readonly<Record<string, string>> = {
  object: 'JSON',
  boolean: 'BOOLEAN',
  number: 'DOUBLE',
};

const writer = fileURLToPath(new URL('../data/write-parquet.mjs', import.meta.url));

const write = (name: string, columns: readonly Column[]): string => {
  const columnData = columns.map((column) => ({ ...column, type: types[typeof column.data[0]] }));
  const path = join(folder, name);
  writeFileSync(
    path,
    execFileSync(process.execPath, [writer], { input: serialize({ columnData }) }),
  );
  return path;
};

const flat = [
  { name: 'observations', data: steps.map(observation) },
  { name: 'actions', data: steps.map((i) => [i === 4 ? 1.5 : i / 10]) },
  { name: 'rewards', data: steps.map((i) => -i) },
  { name: 'terminals', data: steps.map(terminal) },
];

test('Parquet, a row for each transition, with timeouts: next states are the next rows', async (t) => {
  const path = write('flat.parquet', [...flat, { name: 'timeouts', data: steps.map(timeout) }]);
  const { columns, about } = await importD4rl(path, spec);
  // The last transition of the cut-off episode has no next state.
  t.is(columns.n, 5);
  t.is(about.leftOut, 1);
  t.deepEqual([...columns.obs.slice(0, 3)], [0, 0.25, 0.5]);
  t.deepEqual([...columns.next.slice(0, 3)], [1, 1.25, 1.5]);
  t.deepEqual([...columns.next.slice(6, 9)], [2, 2.25, 2.5]); // terminal: it has no value
  t.deepEqual([...columns.done], [0, 0, 1, 0, 0]);
  t.deepEqual([...columns.rew], [-0, -1, -2, -3, -4]);
  t.is(columns.act[4], 1); // clipped
  t.true(Math.abs(columns.act[1]! - 0.1) < 1e-7);
});

test('Parquet with next_observations keeps every transition', async (t) => {
  const next = { name: 'next_observations', data: steps.map((i) => observation(i + 10)) };
  const timeouts = { name: 'timeouts', data: steps.map(timeout) };
  const { columns } = await importD4rl(write('next.parquet', [...flat, next, timeouts]), spec);
  t.is(columns.n, 6);
  t.deepEqual([...columns.next.slice(15)], [15, 15.25, 15.5]);
  t.deepEqual([...columns.truncated], [0, 0, 0, 0, 0, 1]);
  t.is((await importD4rl(write('no-timeouts.parquet', [...flat, next]), spec)).columns.n, 6);
});

test('Parquet, a row for each episode', async (t) => {
  const episodes = [steps.slice(0, 3), steps.slice(3)];
  const lists = (of: (i: number) => unknown): unknown[] => episodes.map((rows) => rows.map(of));
  const path = write('episodes.parquet', [
    { name: 'observations', data: lists(observation) },
    { name: 'actions', data: lists((i) => [i / 10]) },
    { name: 'rewards', data: lists((i) => -i) },
    { name: 'dones', data: lists(terminal) },
  ]);
  const { columns } = await importD4rl(path, spec);
  t.is(columns.n, 5);
  t.deepEqual([...columns.done], [0, 0, 1, 0, 0]);
  t.deepEqual([...columns.next.slice(9, 12)], [4, 4.25, 4.5]);
});

test('what cannot be used is refused, with the file and the reason', async (t) => {
  const refused = async (path: string, pattern: RegExp): Promise<void> => {
    const error = await t.throwsAsync(importD4rl(path, spec));
    t.is(code(error), 'DATA_INVALID');
    t.regex(error.message, pattern);
  };
  await refused(write('a.parquet', flat), /neither next_observations nor timeouts/);
  const timeouts = { name: 'timeouts', data: steps.map(timeout) };
  const wide = { name: 'observations', data: steps.map((i) => [...observation(i), 0]) };
  await refused(
    write('b.parquet', [wide, ...flat.slice(1), timeouts]),
    /observations has 24 numbers where the environment has 18/,
  );
  await refused(write('c.parquet', [...flat.slice(0, 3), timeouts]), /no "terminals"/);
  const holed = { name: 'rewards', data: steps.map((i) => (i === 3 ? NaN : -i)) };
  await refused(
    write('d.parquet', [...flat.slice(0, 2), holed, flat[3]!, timeouts]),
    /column rew holds NaN in transition 3/,
  );
  await refused(join(folder, 'data.pickle'), /"\.pickle" are not known/);
  writeFileSync(join(folder, 'not.hdf5'), 'hello');
  await refused(join(folder, 'not.hdf5'), /no HDF5 file/);
  t.is(code(await t.throwsAsync(importD4rl(join(folder, 'gone.hdf5'), spec))), 'IO_FAILED');
});

/** A file with HDF5's signature, for readers that never look further. */
const signed = (name: string): string => {
  const path = join(folder, name);
  writeFileSync(path, Buffer.from([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a, 0]));
  return path;
};

test('HDF5 without its reader says what to install', async (t) => {
  const error = await t.throwsAsync(
    readHdf5Columns(signed('x.hdf5'), () => Promise.reject(new Error('not found'))),
  );
  t.is(code(error), 'ADDON_NOT_FOUND');
  t.regex(error.message, /npm install h5wasm@0\.10\.3/);
});

interface Fake {
  closed: number;
  readonly importer: Hdf5Importer;
}

const fake = (columns: Readonly<Record<string, unknown>>): Fake => {
  const state: Fake = {
    closed: 0,
    importer: () =>
      Promise.resolve({
        ready: Promise.resolve(),
        File: class {
          keys(): string[] {
            return Object.keys(columns);
          }
          get(name: string): { value: unknown } {
            return { value: columns[name] };
          }
          close(): void {
            state.closed += 1;
          }
        },
      }),
  };
  return state;
};

test('HDF5 columns become numbers of ours, whatever their type, and the file is closed', async (t) => {
  const complete = {
    observations: Float64Array.of(1, 2, 3, 4, 5, 6),
    actions: Float32Array.of(0.5, -0.5),
    rewards: Float32Array.of(1, 2),
    terminals: [false, true],
    timeouts: Int8Array.of(0, 1),
  };
  const good = fake(complete);
  const columns = await readHdf5Columns(signed('y.hdf5'), good.importer);
  t.deepEqual([...columns.observations], [1, 2, 3, 4, 5, 6]);
  t.deepEqual([...columns.terminals], [0, 1]);
  t.deepEqual([...columns.timeouts!], [0, 1]);
  t.is(columns.nextObservations, undefined);
  t.is(good.closed, 1);
  const { actions: _actions, ...partial } = complete;
  const bad = fake(partial);
  const error = await t.throwsAsync(readHdf5Columns(signed('z.hdf5'), bad.importer));
  t.regex(error.message, /no "actions"; it has observations, rewards, terminals, timeouts/);
  t.is(bad.closed, 1);
});

interface H5File {
  create_dataset(options: { name: string; data: unknown; shape: number[]; dtype: string }): unknown;
  create_group(name: string): unknown;
  close(): unknown;
}

interface H5wasm {
  readonly ready: Promise<unknown>;
  readonly File: new (path: string, mode: string) => H5File;
}

// The reader is the user's choice: where it is not installed, its own test cannot run.
const packageName = ['h5wasm', 'node'].join('/');
const haveReader = existsSync('node_modules/h5wasm');

(haveReader ? test : test.skip)('a real HDF5 file is read (skipped without h5wasm)', async (t) => {
  const h5wasm = (await import(packageName)) as H5wasm;
  await h5wasm.ready;
  const path = join(folder, 'real.hdf5');
  const file = new h5wasm.File(path, 'w');
  const column = (name: string, data: unknown, shape: number[], dtype: string): void => {
    file.create_dataset({ name, data, shape, dtype });
  };
  column('observations', Float32Array.from(steps.flatMap(observation)), [6, 3], '<f');
  column(
    'actions',
    Float64Array.from(steps, (i) => i / 10),
    [6, 1],
    '<d',
  );
  column('rewards', Float32Array.from(steps), [6], '<f');
  column(
    'terminals',
    Uint8Array.from(steps, (i) => Number(terminal(i))),
    [6],
    '<B',
  );
  column(
    'timeouts',
    Uint8Array.from(steps, (i) => Number(timeout(i))),
    [6],
    '<B',
  );
  file.create_group('metadata');
  file.close();
  const { columns } = await importD4rl(path, spec);
  t.is(columns.n, 5);
  t.deepEqual([...columns.next.slice(0, 3)], [1, 1.25, 1.5]);
  t.deepEqual([...columns.done], [0, 0, 1, 0, 0]);
});
