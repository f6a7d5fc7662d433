// Whole runs through the command line, in processes of their own.
import { access, cp, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
import { cli, readLines, scratch, start, writeLines } from './cli.js';
import { makeStart, pairs, unpaired } from './start.js';

const steps = (count: number): string[] => [
  ...['--max-steps', String(count), '--learning-rate', '1e-2'],
  ...['--per-device-train-batch-size', '4', '--logging-steps', '1', '--threads', '1'],
];

const sampling = ['--max-completion-length', '4', '--judge', 'rule:length:target=2'];

interface Run {
  readonly command: string;
  readonly flags?: readonly string[];
  readonly rows?: readonly object[];
  /** Of the first line of metrics.jsonl. */
  readonly first: (line: Record<string, number>) => boolean;
}

const close = (a: number | undefined, b: number): boolean => Math.abs((a ?? NaN) - b) < 1e-5;

const runs: readonly Run[] = [
  { command: 'dpo', first: ({ loss }) => close(loss, Math.LN2) },
  { command: 'sft', first: ({ loss }) => loss! > 0 && loss! < 10 },
  { command: 'kto', rows: unpaired(16), first: ({ loss }) => close(loss, 0.5) },
  { command: 'reward', first: ({ accuracy }) => accuracy! >= 0 && accuracy! <= 1 },
  { command: 'online-dpo', flags: sampling, first: ({ loss }) => close(loss, Math.LN2) },
  {
    command: 'ppo',
    flags: sampling,
    // The policy has not moved since sampling: ratio 1, KL 0.
    first: (line) => close(line['val/ratio'], 1) && close(line['objective/kl'], 0),
  },
  {
    command: 'hypo',
    flags: ['--max-completion-length', '4', '--lambda', '0.1'],
    first: (line) => close(line.loss, Math.LN2) && close(line['objective/kl'], 0),
  },
];

for (const { command, flags = [], rows = pairs(16), first } of runs) {
  test(`${command} trains from the command line and leaves a whole run folder`, async (t) => {
    const folder = await scratch(t);
    const model = await makeStart(join(folder, 'start'));
    const dataset = await writeLines(join(folder, 'rows.jsonl'), rows);
    const output = join(folder, 'run');
    const where = ['--model', model, '--dataset', dataset, '--output', output];
    const { code, stdout, stderr } = await cli([command, ...where, ...steps(2), ...flags]);
    t.is(code, 0, stderr);
    const lines = await readLines(join(output, 'metrics.jsonl'));
    t.deepEqual(
      lines.map(({ step }) => step),
      [1, 2],
    );
    t.true(first(lines[0]!), JSON.stringify(lines[0]));
    t.true(lines[0]!.grad_norm! > 0);
    t.is(stdout.split('\n')[0], `policy: ${join(output, 'checkpoint-2')}`);
    for (const name of ['model.safetensors', 'tokenizer.json', 'trainer_state.json']) {
      await t.notThrowsAsync(access(join(output, 'checkpoint-2', name)), name);
    }
    const isSampled = flags.length > 0;
    t.is((await readdir(output)).includes('completions.jsonl'), isSampled);
    t.regex(stderr, /model .*4,\d{3} parameters/s);
    t.regex(stderr, /step 2\/2/);
  });
}

test('a run made again from its config.yaml is the same run', async (t) => {
  const folder = await scratch(t);
  const model = await makeStart(join(folder, 'start'));
  const dataset = await writeLines(join(folder, 'rows.jsonl'), pairs(12));
  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  const held = ['--test-split-size', '4', '--eval-strategy', 'steps', '--eval-steps', '2'];
  const more = ['--loss-type', 'ipo', '--precompute-ref-log-probs', ...held];
  const where = ['--model', model, '--dataset', dataset, '--output', first];
  const one = await cli(['dpo', ...where, ...steps(3), ...more]);
  t.is(one.code, 0, one.stderr);
  const other = await cli(['dpo', '--config', join(first, 'config.yaml'), '--output', second]);
  t.is(other.code, 0, other.stderr);
  const [a, b] = await Promise.all(
    [first, second].map((run) => readFile(join(run, 'metrics.jsonl'), 'utf8')),
  );
  t.is(a, b);
  const lines = await readLines(join(first, 'metrics.jsonl'));
  const evaluated = lines.find((line) => 'eval_loss' in line);
  t.is(evaluated?.step, 2);
  t.true('eval_rewards/margins' in evaluated!);
  // IPO before the first step: (1 / (2 beta))^2.
  t.true(close(lines[0]!.loss, 25));
  const compared = await cli(['compare', first, second]);
  t.regex(compared.stdout, /rewards\/margins/);
  t.regex(compared.stdout, /output_dir/);
});

test('a run resumed from a checkpoint equals the uninterrupted one bit for bit', async (t) => {
  const folder = await scratch(t);
  const model = await makeStart(join(folder, 'start'));
  const dataset = await writeLines(join(folder, 'rows.jsonl'), pairs(10));
  const whole = join(folder, 'whole');
  const where = ['--model', model, '--dataset', dataset];
  const args = ['dpo', ...where, ...steps(4), '--save-steps', '2'];
  t.is((await cli([...args, '--output', whole])).code, 0);
  const again = join(folder, 'again');
  await cp(whole, again, { recursive: true });
  const resumed = await cli([
    ...[...args, '--output', again],
    ...['--resume-from-checkpoint', 'checkpoint-2'],
  ]);
  t.is(resumed.code, 0, resumed.stderr);
  t.regex(resumed.stderr, /going on after step 2/);
  for (const name of ['metrics.jsonl', 'checkpoint-4/model.safetensors']) {
    const [a, b] = await Promise.all([whole, again].map((run) => readFile(join(run, name))));
    t.true(a!.equals(b!), name);
  }
});

test('a folder that holds a run is not written over; Ctrl-C saves and can be resumed', async (t) => {
  const folder = await scratch(t);
  const model = await makeStart(join(folder, 'start'));
  const dataset = await writeLines(join(folder, 'rows.jsonl'), pairs(10));
  const output = join(folder, 'run');
  const where = ['--model', model, '--dataset', dataset, '--output', output];
  const running = start(['dpo', ...where, ...steps(1_000_000)]);
  await running.said('step 3/');
  running.kill('SIGINT');
  const { code, stdout, stderr } = await running.outcome;
  t.is(code, 130, stderr);
  t.regex(stderr, /Stopping after this step/);
  t.regex(stderr, /--resume-from-checkpoint auto/);
  const saved = Number(/checkpoint-(\d+)/.exec(stdout)?.[1]);
  const lines = await readLines(join(output, 'metrics.jsonl'));
  t.is(lines.at(-1)?.step, saved);
  const refused = await cli(['dpo', ...where, ...steps(2)]);
  t.is(refused.code, 1);
  t.regex(refused.stderr, /holds another run.*--overwrite-output-dir/s);
  const anew = await cli(['dpo', ...where, ...steps(2), '--overwrite-output-dir']);
  t.is(anew.code, 0, anew.stderr);
  t.is((await readLines(join(output, 'metrics.jsonl'))).length, 2);
});

test('--dry-run shows configuration, tokens, lengths and memory, and writes nothing', async (t) => {
  const folder = await scratch(t);
  const model = await makeStart(join(folder, 'start'));
  const dataset = await writeLines(join(folder, 'rows.jsonl'), [
    { prompt: 'the old king', chosen: ' reads slowly', rejected: ' sees a red cat' },
    ...pairs(7),
  ]);
  const config = join(folder, 'dpo.yaml');
  await writeFile(config, 'beta: 0.2\nuse_liger_kernel: true\nmax_length: 6\n');
  const before = await readdir(folder);
  const where = ['--model', model, '--dataset', dataset, '--output', join(folder, 'run')];
  const { code, stdout, stderr } = await cli(['dpo', '--config', config, ...where, '--dry-run']);
  t.is(code, 0, stderr);
  const resolved = parse(stdout.slice(0, stdout.indexOf('\n\n'))) as Record<string, unknown>;
  t.is(resolved.beta, 0.2);
  t.is(resolved.max_length, 6);
  t.regex(stdout, /passed by: use_liger_kernel/);
  // the 5, old 6, king 12; reads 16, slowly 22, </s> 2; the rejected one loses its end.
  t.regex(stdout, /prompt: "the old king"\n {4}5 6 12\n/);
  t.regex(stdout, /\[16\] \[22\] \[2\]\n/);
  t.regex(stdout, /\[19\] \[4\] \[8\]\n/);
  t.regex(stdout, /8 pairs, 1 truncated|8 pairs, \d+ truncated/);
  t.regex(stdout, /AdamW moments +\d/);
  t.deepEqual(await readdir(folder), before);
  const printed = await cli(['dpo', '--beta=0.3', '--learning_rate', '1e-4', '--print-config']);
  t.like(parse(printed.stdout), { beta: 0.3, learning_rate: 1e-4 });
});

test('eval measures what the inputs allow; a policy against itself wins half', async (t) => {
  const folder = await scratch(t);
  const model = await makeStart(join(folder, 'start'));
  const dataset = await writeLines(join(folder, 'rows.jsonl'), pairs(12));
  const judge = ['--judge', 'rule:length', '--max-completion-length', '4', '--threads', '1'];
  const args = ['eval', model, '--dataset', dataset, '--reference', model, ...judge, '--json'];
  const { code, stdout, stderr } = await cli(args);
  t.is(code, 0, stderr);
  interface Result {
    readonly measurements: readonly { name: string; value: number; interval?: number[] }[];
  }
  const { measurements } = JSON.parse(stdout) as Result;
  const of = (name: string) => measurements.find((each) => each.name.startsWith(name))!;
  t.is(of('KL to the reference').value, 0);
  // Undecided pairs count half, as under any policy that equals its reference.
  t.is(of('accuracy').value, 0.5);
  const [low, high] = of('win rate').interval!;
  t.true(low! < 0.5 && high! > 0.5);
  t.true(of('perplexity').value > 1);
  const lacking = await cli(['eval', model, '--dataset', dataset, '--metrics', 'kl']);
  t.is(lacking.code, 1);
  t.regex(lacking.stderr, /metric kl needs --reference/);
});

test('chat reads lines and answers through the template', async (t) => {
  const folder = await scratch(t);
  const model = await makeStart(join(folder, 'start'), { chat: true });
  const args = ['chat', model, '--max-new-tokens', '4', '--temperature', '0'];
  const { code, stdout, stderr } = await cli(args, 'the old king\nthe cat\n');
  t.is(code, 0, stderr);
  t.is(stdout.trimEnd().split('\n').length, 2, stdout);
  const plain = await makeStart(join(folder, 'plain'));
  const refused = await cli(['chat', plain], 'the\n');
  t.is(refused.code, 1);
  t.regex(refused.stderr, /no chat template.*--plain/s);
});
