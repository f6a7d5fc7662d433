// What people get wrong first: each mistake is a sentence that names it and the way out, with exit
// code 1, and nothing is left behind.
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { trainingCommands } from '../../src/cli/config/commands.js';
import { resolveConfig } from '../../src/cli/config/resolve.js';
import { describeCommand } from '../../src/cli/training/flags.js';
import { prepare } from '../../src/cli/training/prepare.js';
import { runTraining } from '../../src/cli/training/run.js';
import { cli, scratch, writeLines } from './cli.js';
import { makeStart, pairs } from './start.js';

const run = async (command: string, values: Readonly<Record<string, unknown>>): Promise<string> => {
  const training = trainingCommands.find(({ name }) => name === command)!;
  try {
    await runTraining(resolveConfig(training, [{ from: 'flags', values }]));
    return 'no error';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

test('every command has help with its paper, and the defaults of its flags', (t) => {
  for (const command of trainingCommands) {
    const help = describeCommand(command).helpInformation().replaceAll(/\s+/g, ' ');
    t.true(help.includes(command.entry.paper.slice(0, 20)), command.name);
    t.regex(help, /--learning-rate <n> .*\(default: /, command.name);
    t.regex(help, /--dry-run/);
    for (const spec of Object.values(command.entry.options)) {
      t.true(help.includes(spec.help.slice(0, 30).replaceAll(/\s+/g, ' ')), command.name);
    }
    t.is(help.includes('--judge <text>'), command.source !== 'dataset', command.name);
  }
});

test('a model that is not there: what it is, and how to get it', async (t) => {
  const folder = await scratch(t);
  const output = join(folder, 'out');
  const dataset = await writeLines(join(folder, 'pairs.jsonl'), pairs(4));
  const hub = await run('dpo', { model: 'Qwen/Qwen2.5-0.5B', dataset, output });
  t.regex(hub, /no folder Qwen\/Qwen2\.5-0\.5B.*hf download Qwen\/Qwen2\.5-0\.5B --local-dir/);
  t.regex(await run('dpo', { model: folder, dataset, output }), /has no config\.json/);
  t.regex(await run('dpo', { dataset, output }), /no model to train.*--model/);
  t.deepEqual(await readdir(folder), ['pairs.jsonl']);
});

test('data that are not there, empty, or of another kind', async (t) => {
  const folder = await scratch(t);
  const model = await makeStart(join(folder, 'start'));
  const output = join(folder, 'out');
  const common = { model, output };
  t.regex(
    await run('dpo', { ...common, dataset: join(folder, 'no.jsonl') }),
    /no\.jsonl.*does not exist/,
  );
  t.regex(await run('dpo', { ...common, dataset: 'trl-lib/ultrafeedback' }), /--repo-type dataset/);
  t.regex(await run('dpo', common), /no data.*--dataset/);
  const empty = join(folder, 'empty.jsonl');
  await writeFile(empty, '');
  t.regex(await run('dpo', { ...common, dataset: empty }), /empty\.jsonl.*no rows/);
  const prompts = await writeLines(join(folder, 'prompts.jsonl'), [{ prompt: 'a b' }]);
  t.regex(await run('dpo', { ...common, dataset: prompts }), /pairs.*chosen and rejected/s);
  t.regex(await run('kto', { ...common, dataset: prompts }), /completions with a label/);
  const rows = await writeLines(join(folder, 'rows.jsonl'), pairs(2));
  const columns = '{prompt: question}';
  t.regex(
    await run('dpo', { ...common, dataset: rows, columns }),
    /rows\.jsonl:1.*"question".*prompt/s,
  );
  t.regex(
    await run('dpo', { ...common, dataset: rows, max_length: '3', truncation_mode: 'drop' }),
    /None of the 2 records.*max_length/s,
  );
  t.false((await readdir(folder)).includes('out'), 'no folder is made for a run that cannot be');
});

test('a bad row is named by file, line and key; skip counts it', async (t) => {
  const folder = await scratch(t);
  const model = await makeStart(join(folder, 'start'));
  const [first, second, third] = pairs(3);
  const broken = { prompt: second!.prompt, chosen: second!.chosen };
  const dataset = await writeLines(join(folder, 'rows.jsonl'), [first!, broken, third!]);
  const values = { model, dataset, output: join(folder, 'out') };
  t.regex(await run('dpo', values), /rows\.jsonl:2.*"rejected"/s);
  const training = trainingCommands.find(({ name }) => name === 'dpo')!;
  const layer = { from: 'flags', values: { ...values, on_bad_row: 'skip' } };
  const { loaded } = await prepare(resolveConfig(training, [layer]));
  t.is(loaded?.items.length, 2);
  t.is(loaded?.counts.skipped, 1);
});

test('a split of a folder that is not there names those that are', async (t) => {
  const folder = await scratch(t);
  const model = await makeStart(join(folder, 'start'));
  const data = join(folder, 'data');
  await makeFolder(data);
  await writeLines(join(data, 'train_prefs.jsonl'), pairs(4));
  await writeLines(join(data, 'test_prefs.jsonl'), pairs(2));
  const training = trainingCommands.find(({ name }) => name === 'dpo')!;
  const rowsOf = async (split: string): Promise<number | undefined> => {
    const values = { model, dataset: data, dataset_train_split: split };
    const { loaded } = await prepare(resolveConfig(training, [{ from: 'flags', values }]));
    return loaded?.items.length;
  };
  t.is(await rowsOf('train_prefs'), 4);
  t.is(await rowsOf('test_prefs'), 2);
  await t.throwsAsync(rowsOf('validation'), { message: /"validation".*train_prefs\.jsonl/s });
});

test('evaluation without held-out rows, and judges that are none', async (t) => {
  const folder = await scratch(t);
  const model = await makeStart(join(folder, 'start'));
  const dataset = await writeLines(join(folder, 'rows.jsonl'), pairs(4));
  const common = { model, dataset, output: join(folder, 'out') };
  t.regex(
    await run('dpo', { ...common, eval_strategy: 'steps' }),
    /--eval-dataset.*--test-split-size/s,
  );
  t.regex(await run('online-dpo', common), /needs a judge.*rule:NAME/s);
  const online = { ...common, max_completion_length: '4' };
  t.regex(
    await run('online-dpo', { ...online, judge: 'rule:lenght' }),
    /no rule "lenght".*length/s,
  );
  t.regex(await run('online-dpo', { ...online, judge: 'gpt' }), /no judge.*reward-model:FOLDER/s);
  t.regex(
    await run('grpo', { ...online, judge: 'reward-model:org/name' }),
    /hf download org\/name/,
  );
  t.regex(await run('hypo', { ...common, judge: 'rule:length' }), /takes no judge/);
  t.regex(
    await run('online-dpo', { ...online, judge: 'rule:length', temperature: '0.7' }),
    /temperature 0\.7.*allow/s,
  );
});

test('exit codes: 0 for help, 1 for mistakes; errors go to standard error', async (t) => {
  const help = await cli(['dpo', '--help']);
  t.is(help.code, 0);
  t.regex(help.stdout, /Rafailov/);
  const wrong = await cli(['dpo', '--model', 'x', '--betta', '1']);
  t.is(wrong.code, 1);
  t.is(wrong.stdout, '');
  t.regex(wrong.stderr, /^error OPTION_INVALID: .*--betta.*Did you mean "beta"\?/);
  const command = await cli(['dop']);
  t.is(command.code, 1);
  t.regex(command.stderr, /Did you mean dpo\?/);
});

const makeFolder = async (path: string): Promise<void> => {
  const { mkdir } = await import('node:fs/promises');
  await mkdir(path, { recursive: true });
};

test('score names the line of a token that the vocabulary does not have', async (t) => {
  const folder = await scratch(t);
  const model = await makeStart(join(folder, 'start'));
  const tokens = await writeLines(join(folder, 'tokens.jsonl'), [[1, 2], { tokens: [1, 999_999] }]);
  const { code, stdout, stderr } = await cli(['score', model, '--tokens', tokens, '--json']);
  t.is(code, 1);
  t.is(stdout, '');
  t.regex(stderr, /TOKEN_OUT_OF_RANGE: .*tokens\.jsonl, line 2: token 999999 .* tokenizer/);
});
