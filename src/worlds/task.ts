// What a world is made of. A task says what prompts there are, how responses to them are written,
// and what its rater thinks of them; src/worlds/world.ts makes a world of it.
import type { RandomStream } from '../data/random.js';
import type { Chooser, Choices } from './behaviour.js';
import type { Grammar, Parsed } from './grammar.js';
import type { Terms } from './rating.js';

/** 1: fewer facts, words and demands in a prompt. 3: most of them. */
export type Difficulty = 1 | 2 | 3;

export interface Task<Situation> {
  readonly name: string;
  /** One sentence. */
  readonly help: string;
  /** Of prompts and responses. */
  readonly grammar: Grammar;
  /** Words that stand at the start of a line of the prompt. */
  readonly lineStarts: readonly string[];
  /** Word forms of prompts that the grammar does not have. */
  readonly promptWords: readonly string[];
  readonly choices: Choices;
  /** What a prompt is about. */
  draw(stream: RandomStream): Situation;
  /** The prompt's text; responses begin with a space. */
  write(situation: Situation): string;
  /** The situation of a prompt; null for a text that is no prompt of this task. */
  read(prompt: string): Situation | null;
  /** A response, without the leading space. */
  compose(situation: Situation, chooser: Chooser): string;
  rate(situation: Situation, response: Parsed): Terms;
  /** Names of the terms, for weights. */
  readonly terms: readonly string[];
}
