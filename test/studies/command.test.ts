// alignlab study performance-gap, as users run it.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { start } from '../cli/cli.js';

const temporary = await mkdtemp(join(tmpdir(), 'alignlab-study-command-'));
test.after.always(() => rm(temporary, { recursive: true, force: true }));

const study = (folder: string, ...args: string[]) =>
  start(['study', 'performance-gap', '--scale', 'ci', '--output', folder, ...args]);

test('Ctrl-C stops all jobs in order, and says how to go on', async (t) => {
  const folder = join(temporary, 'stopped');
  const running = study(folder, '--jobs', '2', '--only', 'fig-1');
  await running.said('world summarise');
  running.kill('SIGINT');
  const { code, stderr } = await running.outcome;
  t.is(code, 130);
  t.true(stderr.includes(`--scale ci --only fig-1 --output ${folder} --resume`), stderr);
  const left = [...(await readdir(folder)), ...(await readdir(join(folder, 'stages')))];
  t.deepEqual(
    left.filter((name) => name.startsWith('.')),
    [],
    'neither the lock nor half a stage',
  );
});

test('an experiment that there is not', async (t) => {
  const { code, stderr } = await study(join(temporary, 'none'), '--only', 'fig-99').outcome;
  t.is(code, 1);
  t.regex(stderr, /OPTION_INVALID.*"fig-99".*classification/);
});
