// Folders of runs: whole, growing, killed, damaged.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { AlignlabError } from '../../src/errors.js';
import { curve, readRun } from '../../src/report/run-reader.js';

const folder = async (t: ExecutionContext, files: Record<string, string | Buffer>) => {
  const path = await mkdtemp(join(tmpdir(), 'alignlab-run-'));
  t.teardown(() => rm(path, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
  return path;
};

const whole = [
  '{"step":1,"loss":0.7,"grad_norm":1,"rewards/chosen":0.1}',
  '{"step":2,"loss":"NaN","grad_norm":2}',
  '{"step":2,"eval_loss":0.6,"eval_win_rate":0.4}',
  '{"step":3,"loss":0.5,"grad_norm":3,"rewards/chosen":0.3}',
  '',
].join('\n');

test('steps and evaluations are told apart, NaN included', async (t) => {
  const path = await folder(t, { 'manifest.json': '{"format":1}', 'metrics.jsonl': whole });
  const run = await readRun(path);
  t.is(run.name, basename(path));
  t.deepEqual(run.manifest, { format: 1 });
  t.false(run.cut);
  t.deepEqual(
    run.steps.map(({ step }) => step),
    [1, 2, 3],
  );
  t.true(Number.isNaN(run.steps[1]!.values.loss));
  t.deepEqual(run.evaluations, [{ step: 2, values: { eval_loss: 0.6, eval_win_rate: 0.4 } }]);
  t.deepEqual(curve(run.steps, 'rewards/chosen'), [
    { x: 1, y: 0.1 },
    { x: 3, y: 0.3 },
  ]);
});

test('cut at any byte, every whole line is read and nothing else', async (t) => {
  const text = `${whole.slice(0, -1)}\n{"step":4,"loss":0.4,"note":"größer"}\n`;
  const bytes = Buffer.from(text);
  for (let length = 0; length <= bytes.length; length += 1) {
    const part = bytes.subarray(0, length);
    const path = await folder(t, { 'manifest.json': '{}', 'metrics.jsonl': part });
    const { steps, evaluations, cut } = await readRun(path);
    const lines = part.toString('latin1').split('\n');
    const rest = lines.pop()!;
    const closed = rest.endsWith('}') ? 1 : 0; // an object is whole without its line end
    t.is(steps.length + evaluations.length, lines.length + closed, `${length} bytes`);
    t.is(cut, rest !== '' && closed === 0, `${length} bytes`);
  }
});

test('a run without its first step, or without a manifest, is a run', async (t) => {
  const fresh = await readRun(await folder(t, { 'manifest.json': '{}' }));
  t.deepEqual([fresh.steps, fresh.evaluations, fresh.cut], [[], [], false]);
  const other = await readRun(await folder(t, { 'metrics.jsonl': '\r\n{"step":1,"loss":1}\r\n' }));
  t.is(other.manifest, null);
  t.deepEqual(other.steps, [{ step: 1, values: { loss: 1 } }]);
});

test('a step that was logged again counts as logged last, in the order of steps', async (t) => {
  const text = '{"step":2,"loss":2}\n{"step":1,"loss":1}\n{"step":2,"loss":9}\n';
  const { steps } = await readRun(await folder(t, { 'metrics.jsonl': text }));
  t.deepEqual(curve(steps, 'loss'), [
    { x: 1, y: 1 },
    { x: 2, y: 9 },
  ]);
});

test('damage inside the log is reported with its line', async (t) => {
  for (const line of ['{"step":2,"lo', '[1]', '{"loss":1}', '{"step":-1}', '{"step":"2"}']) {
    const text = `{"step":1,"loss":1}\n${line}\n{"step":3,"loss":1}\n`;
    const path = await folder(t, { 'metrics.jsonl': text });
    const error = await t.throwsAsync(readRun(path), { instanceOf: AlignlabError });
    t.is(error.code, 'RUN_INVALID');
    t.true(error.message.includes('metrics.jsonl:2 '), error.message);
  }
});

test('what is no run is named', async (t) => {
  const empty = await folder(t, {});
  const file = join(await folder(t, { a: '' }), 'a');
  const broken = await folder(t, { 'manifest.json': '{"format"', 'metrics.jsonl': whole });
  const wanted = [
    [empty, 'RUN_INVALID'],
    [file, 'RUN_INVALID'],
    [broken, 'RUN_INVALID'],
    [join(empty, 'none'), 'IO_FAILED'],
  ] as const;
  for (const [path, code] of wanted) {
    const error = await t.throwsAsync(readRun(path), { instanceOf: AlignlabError });
    t.is(error.code, code);
    t.true(error.message.includes(path));
  }
});
