// Worlds for tests.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { Tokenizer } from '../../src/text/tokenizer.js';
import {
  type Behaviour,
  type Difficulty,
  type TokenizerFiles,
  type World,
  createWorld,
  worldNames,
  writeTokenizer,
} from '../../src/worlds/index.js';

export const difficulties: readonly Difficulty[] = [1, 2, 3];

/** Each world at each difficulty, with a title for tests. */
export const everyWorld = worldNames.flatMap((name) =>
  difficulties.map((difficulty) => ({
    title: `${name} at difficulty ${difficulty}`,
    world: createWorld(name, { difficulty }),
  })),
);

export const loadedTokenizer = async (
  t: ExecutionContext,
  files: TokenizerFiles,
): Promise<Tokenizer> => {
  const folder = await mkdtemp(join(tmpdir(), 'alignlab-world-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await writeTokenizer(folder, files);
  return Tokenizer.load(folder);
};

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard error of the mean. */
export const standardError = (values: readonly number[]): number => {
  const center = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - center) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
};

/** One response to each prompt. */
export const responses = (
  world: World,
  prompts: readonly string[],
  behaviour: Behaviour = {},
  seed = 1,
): string[] => prompts.map((prompt, i) => world.respond(prompt, behaviour, 1000 * seed + i));
