// The worlds, by name.
import { show } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import { chatTask } from './chat/task.js';
import { helpTask } from './help/task.js';
import { summariseTask } from './summarise/task.js';
import type { Difficulty } from './task.js';
import { type TokenizerFiles, wordTokenizer } from './tokenizer.js';
import { type World, type WorldOptions, makeWorld } from './world.js';

export type { Behaviour } from './behaviour.js';
export { raterJudge, raterPairJudge } from './judge.js';
export { modelConfigOf } from './model-config.js';
export type { Difficulty } from './task.js';
export { type TokenizerFiles, writeTokenizer } from './tokenizer.js';
export type { PreferenceRecord, Split, World, WorldOptions } from './world.js';

const make = {
  summarise: (difficulty: Difficulty, options: WorldOptions) =>
    makeWorld(summariseTask(difficulty), options),
  help: (difficulty: Difficulty, options: WorldOptions) => makeWorld(helpTask(difficulty), options),
  chat: (difficulty: Difficulty, options: WorldOptions) => makeWorld(chatTask(difficulty), options),
} as const;

export type WorldName = keyof typeof make;

export const worldNames = Object.keys(make) as readonly WorldName[];

const known = new Set(['difficulty', 'noise', 'weights']);

/** Throws OPTION_INVALID for an unknown name or option. */
export const createWorld = (name: WorldName, options: WorldOptions = {}): World => {
  if (!Object.hasOwn(make, name)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `There is no world ${show(name)}. The worlds are ${worldNames.join(', ')}.`,
    );
  }
  const stray = Object.keys(options).find((key) => !known.has(key));
  if (stray !== undefined) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `A world has no option ${show(stray)}. It has ${[...known].join(', ')}.`,
    );
  }
  const { difficulty = 2 } = options;
  if (![1, 2, 3].includes(difficulty)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `difficulty must be 1, 2 or 3, got ${show(difficulty)}.`,
    );
  }
  return make[name](difficulty, options);
};

/** One tokenizer for several worlds, such as for SFT on the union of their data. */
export const sharedTokenizer = (worlds: readonly World[]): TokenizerFiles =>
  wordTokenizer({
    words: worlds.flatMap(({ words }) => [...words]),
    lineStarts: worlds.flatMap(({ lineStarts }) => lineStarts),
  });
