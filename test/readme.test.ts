// The README's scripts, run as they stand, in a folder that holds what they read.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { AlignlabError } from '../src/errors.js';
import { LanguageModel } from '../src/engine/model.js';
import type { ObjectiveEntry, Row } from '../src/objectives/objective.js';
import { makeStart, pairs } from './cli/start.js';

const url = (path: string): string => pathToFileURL(resolve(path)).href;

/** Code blocks that import the package, with this tree in the package's place. */
const scripts = async (): Promise<string[]> => {
  const readme = await readFile('README.md', 'utf8');
  const blocks = [...readme.matchAll(/```ts\n(import [\s\S]*?)```/g)];
  return blocks.map(([, code]) => code!.replaceAll("'alignlab'", `'${url('src/index.ts')}'`));
};

const workplace = async (t: ExecutionContext): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'alignlab-readme-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  return folder;
};

const run = promisify(execFile);

test('online IPO runs and leaves a checkpoint', async (t) => {
  const [script] = await scripts();
  t.true(script!.trimEnd().split('\n').length <= 16, 'fifteen lines, one of them empty');
  const folder = await workplace(t);
  await makeStart(join(folder, 'my-model'));
  const prompts = pairs(40).map(({ prompt }) => JSON.stringify({ prompt }));
  await writeFile(join(folder, 'prompts.jsonl'), prompts.join('\n'));
  await writeFile(join(folder, 'script.ts'), script!);
  const { stdout } = await run(
    process.execPath,
    [`--import=${url('scripts/register-ts.mjs')}`, 'script.ts'],
    { cwd: folder, env: { ...process.env, TS_NODE_PROJECT: resolve('tsconfig.json') } },
  );
  const lines = stdout.trim().split('\n');
  t.is(lines.length, 50);
  t.regex(lines.at(-1)!, /^50 [\d.e-]+ -?[\d.e-]+$/);
  await using aligned = await LanguageModel.load(join(folder, 'aligned'));
  t.is(aligned.family, 'llama');
});

test('a loss of one’s own has the right gradient and checks its options', async (t) => {
  const [, script] = await scripts();
  t.true(script!.trimEnd().split('\n').length <= 11, 'ten lines after the import');
  const path = join('test', `readme-loss-${process.pid}.ts`);
  await writeFile(path, script!);
  t.teardown(() => rm(path));
  const { squaredHinge } = (await import(url(path))) as { squaredHinge: ObjectiveEntry };
  const objective = squaredHinge.make({ beta: 0.2 });
  const row = (chosen: number[]): Row => ({
    kind: 'pair',
    sequences: [
      { logProbs: Float32Array.from(chosen), reference: Float32Array.of(-1, -0.5) },
      { logProbs: Float32Array.of(-2), reference: Float32Array.of(-1.5) },
    ],
  });
  const totals = { pairs: 1, chosenTokens: 2, rejectedTokens: 1 } as Parameters<
    typeof objective.evaluate
  >[1];
  const { loss, gradients } = objective.evaluate([row([-0.5, -0.25])], totals);
  // (1 - 0.2 (0.75 + 0.5))^2; all numbers are exact in f32 but 0.2, which stays double.
  t.true(Math.abs(loss - 0.75 ** 2) < 1e-12);
  // -2 * 0.2 * 0.75, rounded to f32.
  t.true(Math.abs(gradients[0]![0]!.logProbs![0]! + 0.3) < 1e-7);
  t.is(gradients[0]![0]!.logProbs!.length, 2);
  t.throws(() => squaredHinge.make({ beta: -1 }), { instanceOf: AlignlabError });
});
