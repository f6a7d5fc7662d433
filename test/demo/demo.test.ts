// The demo, shortened: the loss falls, equal seeds give equal numbers, and what it saves can be used.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { modelConfig, train } from '../../src/demo/training.js';
import { LanguageModel } from '../../src/engine/model.js';
import { Tokenizer } from '../../src/text/tokenizer.js';

const temporaryFolder = async (t: ExecutionContext): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'alignlab-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
};

const startDemo = (args: readonly string[]) => {
  const child = spawn(
    process.execPath,
    ['--import', './scripts/register-ts.mjs', 'src/cli/main.ts', 'demo', ...args],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  return {
    child,
    output: text(child.stdout),
    errors: text(child.stderr),
    exit: once(child, 'exit'),
  };
};

const tinyConfig = {
  ...modelConfig(32),
  hidden_size: 32,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  num_key_value_heads: 1,
  intermediate_size: 32,
};

/** Losses of a few steps on counting up, from different starts. */
const trainTiny = async (seed: number): Promise<number[]> => {
  function* sequences() {
    for (let start = 0; ; start = (start + 7) % 16) {
      yield [{ tokens: Array.from({ length: 12 }, (_, i) => start + i) }];
    }
  }
  await using model = await LanguageModel.create(tinyConfig, { seed });
  const losses: number[] = [];
  for await (const { loss } of train(model, sequences(), { steps: 60 })) losses.push(loss);
  return losses;
};

const mean = (values: readonly number[]): number =>
  values.reduce((sum, x) => sum + x, 0) / values.length;

test('training lowers the loss, and its seed decides every number', async (t) => {
  const losses = await trainTiny(3);
  // Guessing costs log(32) = 3.47; after 60 steps of this tiny model about 2.1 is left.
  t.true(Math.abs(losses[0]! - Math.log(32)) < 0.2, losses.join(' '));
  t.true(mean(losses.slice(-10)) < 2.6, losses.join(' '));
  t.deepEqual(await trainTiny(3), losses);
  t.notDeepEqual(await trainTiny(4), losses);
});

test('alignlab demo trains, is exact, and saves a checkpoint with a tokenizer', async (t) => {
  const out = join(await temporaryFolder(t), 'fables');
  const { output, errors, exit } = startDemo(['--steps', '6', '--out', out]);
  t.deepEqual(await exit, [0, null], await errors);
  const shown = await output;
  const [, first, last] = /loss ([\d.]+) → ([\d.]+)/.exec(shown) ?? [];
  t.true(Number(last) < Number(first), shown);
  const equal = [...shown.matchAll(/([\d,]+) of ([\d,]+) equal/g)];
  t.is(equal.length, 6);
  for (const [, part, whole] of equal) t.is(part, whole);
  // eslint-disable-next-line no-control-regex -- that is what must not be there
  t.notRegex(shown, /\x1b/, 'no escape sequences when the output is not a terminal');

  await using model = await LanguageModel.load(out);
  const tokenizer = await Tokenizer.load(out);
  t.is(model.shape.vocab, tokenizer.size);
  t.deepEqual(model.endTokens, [tokenizer.idOf('<|endoftext|>')]);
  const { logProbs } = await model.score([{ tokens: tokenizer.encode('Once a fox') }]);
  t.true(logProbs.every((x) => x < 0 && x > -20));
});

test('a folder with other files is refused before any training', async (t) => {
  const out = await temporaryFolder(t);
  await writeFile(join(out, 'letter.txt'), 'dear');
  const { output, errors, exit } = startDemo(['--out', out]);
  t.deepEqual(await exit, [1, null]);
  t.regex(await errors, /OPTION_INVALID/);
  t.notRegex(await output, /step/);
  t.deepEqual(await readdir(out), ['letter.txt']);
});

test('Ctrl-C stops it and saves nothing', async (t) => {
  const out = join(await temporaryFolder(t), 'fables');
  const { child, errors, exit } = startDemo(['--steps', '1000', '--out', out]);
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  t.deepEqual(await exit, [130, null]);
  t.regex(await errors, /Stopped/);
  await t.throwsAsync(readdir(out), { code: 'ENOENT' });
});
