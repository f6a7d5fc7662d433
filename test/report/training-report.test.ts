// alignlab report: pages of training runs and of studies, and folders that are neither.
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { reportCommand } from '../../src/cli/commands/report.js';
import { AlignlabError } from '../../src/errors.js';
import { trainingReport } from '../../src/report/training-report.js';
import { scratch } from '../cli/cli.js';

const run = async (folder: string, name: string, values: readonly string[]): Promise<string> => {
  const path = join(folder, name);
  await mkdir(path, { recursive: true });
  const lines = values.map((loss, i) => `{"step":${i + 1},"loss":${loss},"epoch":${i},"lr":1}`);
  await writeFile(join(path, 'metrics.jsonl'), `${lines.join('\n')}\n{"step":1,"eval_x/y":2}\n`);
  const manifest = { status: 'completed', run: { objective: { beta: values.length }, seed: 1 } };
  await writeFile(join(path, 'manifest.json'), JSON.stringify(manifest));
  return path;
};

test('runs stand side by side, with what is not finite named and what differs listed', async (t) => {
  const folder = await scratch(t);
  const [a, b] = [
    await run(folder, 'a', ['3', '2', '1']),
    await run(folder, 'b', ['3', '"NaN"', '2', '1']),
  ];
  const report = await trainingReport([a, b]);
  // Counters and metrics that never change have no figure.
  t.deepEqual(
    report.figures.map(({ name }) => name),
    ['loss'],
  );
  const [{ data, caption }] = report.figures as [(typeof report.figures)[0]];
  t.deepEqual(data!.rows.map(([label, x, y]) => [label, x, y]).slice(2), [
    ['a', 3, 1],
    ['b', 1, 3],
    ['b', 3, 2],
    ['b', 4, 1],
  ]);
  t.is(caption, '1 values that are not finite are left out, the first at step 2.');
  t.deepEqual(report.settings, { 'objective.beta': '3; 4' });
  t.deepEqual(report.summary, [
    'a: completed, 3 steps, 1 evaluations, last loss 1',
    'b: completed, 4 steps, 1 evaluations, last loss 1',
  ]);
  await t.throwsAsync(trainingReport([a, `${a}/`]), { instanceOf: AlignlabError });
});

test('a long run is shown by means of neighbours with their range, to its last step', async (t) => {
  const values = Array.from({ length: 1001 }, (_, i) => String(i % 2));
  const report = await trainingReport([await run(await scratch(t), 'long', values)]);
  const { columns, rows } = report.figures[0]!.data!;
  t.deepEqual(columns.slice(3), ['low', 'high']);
  t.true(rows.length <= 240);
  t.deepEqual(rows[0]!.slice(3), [0, 1]);
  t.is(rows.at(-1)![1], 1001);
});

const command = async (...args: readonly string[]): Promise<void> => {
  await reportCommand.parseAsync(args, { from: 'user' });
};

test.serial(
  'the command writes pages of runs, and a study again from what it stored',
  async (t) => {
    const folder = await scratch(t);
    const a = await run(folder, 'a', ['2', '1']);
    await command(a);
    const page = await readFile(join(a, 'report.html'), 'utf8');
    t.true(page.includes('<title>Training run a</title>'));
    // What remains without the run is as good as a study.
    await rm(join(a, 'metrics.jsonl'));
    await rm(join(a, 'manifest.json'));
    const copy = join(folder, 'copy');
    await command(a, '--output', copy);
    t.is(await readFile(join(copy, 'report.html'), 'utf8'), page);
    t.deepEqual((await readdir(join(copy, 'figures'))).sort(), [
      'loss.csv',
      'loss.json',
      'loss.svg',
    ]);
    const b = await run(folder, 'b', ['2', '1']);
    const error = await t.throwsAsync(command(b, a), { instanceOf: AlignlabError });
    t.regex(error.message, /one study or any number/);
  },
);

test.serial('folders that hold nothing to show are told from those not ready', async (t) => {
  const folder = await scratch(t);
  const fails = async (path: string, code: string, words: RegExp): Promise<void> => {
    const error = await t.throwsAsync(command(path), { instanceOf: AlignlabError });
    t.is(error.code, code as typeof error.code);
    t.regex(error.message, words);
  };
  await fails(folder, 'RUN_INVALID', /holds neither a study/);
  await mkdir(join(folder, 'stages'));
  await fails(folder, 'RUN_INVALID', /--resume/);
  await fails(join(folder, 'none'), 'IO_FAILED', /does not exist/);
});
