// A world: a synthetic text task with its tokenizer, prompts, a behaviour policy that writes
// responses, and a hidden rater whose noisy labels stand for those of people.
import { type JsonObject, show } from '../checkpoint/json.js';
import { derivedSeed, random, uniform } from '../data/random.js';
import { AlignlabError } from '../errors.js';
import type { TextRecord } from '../text/example.js';
import { type Behaviour, type Choices, Chooser, resolveBehaviour } from './behaviour.js';
import { type Rating, prefersFirst } from './rating.js';
import type { Difficulty, Task } from './task.js';
import { type TokenizerFiles, wordTokenizer } from './tokenizer.js';

export type Split = 'train' | 'validation' | 'test';
export type Seed = number | bigint;

export interface WorldOptions {
  /** Default 2. */
  readonly difficulty?: Difficulty;
  /** Temperature of the rater's Bradley–Terry noise, in units of the score. Default 0.4; 0: none. */
  readonly noise?: number;
  /** Term of the rating → factor. Default 1 for each; 0 leaves it out. */
  readonly weights?: Readonly<Record<string, number>>;
}

export interface PreferenceOptions {
  /** Default 'train'. */
  readonly split?: Split;
  /** Taken in turn. Default: as many different prompts of the split as there are pairs. */
  readonly prompts?: readonly string[];
  /** Instead of the world's. */
  readonly noise?: number;
}

export interface World {
  readonly name: string;
  readonly help: string;
  /** Of the behaviour policy: choice → moves, as `support` names them. */
  readonly choices: Choices;
  /** Word forms that prompts and responses are made of. */
  readonly words: ReadonlySet<string>;
  readonly lineStarts: readonly string[];
  readonly noise: number;
  /** Everything that decides prompts, responses and ratings, for manifests. */
  describe(): JsonObject;
  tokenizer(): TokenizerFiles;
  /** Different prompts. The same text is never in two splits. */
  prompts(split: Split, count: number, seed: Seed): string[];
  /** Begins with a space, as it continues the prompt. */
  respond(prompt: string, behaviour: Behaviour, seed: Seed): string;
  /** Throws DATA_INVALID for a prompt of another world; any response can be rated. */
  rate(prompt: string, response: string): Rating;
  /** Pairs of different responses, labelled by the rater with its noise. */
  preferences(
    count: number,
    seed: Seed,
    behaviour?: Behaviour,
    options?: PreferenceOptions,
  ): PreferenceRecord[];
}

export type PreferenceRecord = Extract<TextRecord, { kind: 'preference' }>;

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

const checkCount = (count: number, what: string): void => {
  if (Number.isSafeInteger(count) && count >= 0) return;
  refuse(`The number of ${what} must be a whole number from 0, got ${show(count)}.`);
};

const checkNoise = (noise: number): number =>
  noise >= 0 && noise < Infinity
    ? noise
    : refuse(`noise is a temperature from 0 up, got ${show(noise)}.`);

const splits: readonly Split[] = ['train', 'validation', 'test'];

/** A function of the text alone: 80, 10 and 10 of 100. */
const splitOf = (prompt: string): Split => {
  const place = uniform(0, 'world split', prompt);
  if (place < 0.8) return 'train';
  return place < 0.9 ? 'validation' : 'test';
};

const checkWeights = (
  weights: Readonly<Record<string, number>>,
  terms: readonly string[],
): Readonly<Record<string, number>> => {
  for (const [term, weight] of Object.entries(weights)) {
    if (!terms.includes(term)) {
      refuse(`The rater has no term ${show(term)}. It has ${terms.join(', ')}.`);
    }
    if (!Number.isFinite(weight)) refuse(`The weight of "${term}" must be a number.`);
  }
  return weights;
};

/** Attempts in vain after which there is said to be no such response, or no other prompt. */
const patience = { response: 200, prompt: 5000 } as const;

class TaskWorld<Situation> implements World {
  readonly #task: Task<Situation>;
  readonly #difficulty: Difficulty;
  readonly #weights: Readonly<Record<string, number>>;
  readonly #lowerCase: ReadonlySet<string>;
  /** Of the prompt that was read last: one prompt is mostly asked for several times. */
  #last: { readonly prompt: string; readonly situation: Situation } | null = null;
  readonly words: ReadonlySet<string>;
  readonly noise: number;

  constructor(task: Task<Situation>, { difficulty = 2, noise = 0.4, weights = {} }: WorldOptions) {
    this.#task = task;
    this.#difficulty = difficulty;
    this.#weights = checkWeights(weights, task.terms);
    this.noise = checkNoise(noise);
    this.words = new Set([...task.grammar.forms(), ...task.promptWords]);
    this.#lowerCase = new Set([...this.words].map((word) => word.toLowerCase()));
  }

  get name(): string {
    return this.#task.name;
  }

  get help(): string {
    return this.#task.help;
  }

  get choices(): Choices {
    return this.#task.choices;
  }

  get lineStarts(): readonly string[] {
    return this.#task.lineStarts;
  }

  describe(): JsonObject {
    return {
      world: this.name,
      version: 1,
      help: this.help,
      difficulty: this.#difficulty,
      tokens: this.tokenizer().size,
      noise: this.noise,
      terms: Object.fromEntries(this.#task.terms.map((term) => [term, this.#weights[term] ?? 1])),
      choices: this.choices,
    };
  }

  tokenizer(): TokenizerFiles {
    return wordTokenizer(this);
  }

  prompts(split: Split, count: number, seed: Seed): string[] {
    checkCount(count, 'prompts');
    if (!splits.includes(split)) refuse(`A split is one of ${splits.join(', ')}.`);
    const stream = random(seed, 'prompts', this.name, split);
    const found = new Set<string>();
    for (let vain = 0; found.size < count; ++vain) {
      if (vain > patience.prompt) {
        refuse(
          `${this.name} has no ${count} different prompts for ${split}; ${found.size} were found. ` +
            'Ask for fewer, or for a higher difficulty.',
        );
      }
      const prompt = this.#task.write(this.#task.draw(stream));
      if (found.has(prompt) || splitOf(prompt) !== split) continue;
      found.add(prompt);
      vain = 0;
    }
    return [...found];
  }

  respond(prompt: string, behaviour: Behaviour, seed: Seed): string {
    const resolved = resolveBehaviour(behaviour, this.choices, this.#lowerCase);
    const situation = this.#read(prompt);
    const stream = random(seed, 'response', prompt);
    const excluded = new Set(resolved.withoutWords);
    for (let left = patience.response; left > 0; --left) {
      const text = this.#task.compose(situation, new Chooser(resolved, stream));
      const words = text.toLowerCase().match(/[a-z']+/g) ?? [];
      if (!words.some((word) => excluded.has(word))) return ` ${text}`;
    }
    return refuse(
      `No response without ${[...excluded].join(', ')} was found in ${patience.response} attempts to ` +
        `answer "${prompt}". Exclude fewer words.`,
    );
  }

  rate(prompt: string, response: string): Rating {
    const situation = this.#read(prompt);
    const rated = this.#task.rate(situation, this.#task.grammar.parse(response));
    const terms = Object.fromEntries(
      Object.entries(rated).map(([term, value]) => [term, value * (this.#weights[term] ?? 1)]),
    );
    return { golden: Object.values(terms).reduce((sum, term) => sum + term, 0), terms };
  }

  preferences(
    count: number,
    seed: Seed,
    behaviour: Behaviour = {},
    { split = 'train', prompts, noise = this.noise }: PreferenceOptions = {},
  ): PreferenceRecord[] {
    checkCount(count, 'pairs');
    checkNoise(noise);
    const asked = prompts ?? this.prompts(split, count, derivedSeed(seed, 'prompts'));
    if (asked.length === 0 && count > 0) refuse('There are no prompts to make pairs of.');
    return Array.from({ length: count }, (_, i) => {
      const prompt = asked[i % asked.length]!;
      const [first, second] = this.#pair(prompt, behaviour, derivedSeed(seed, 'pair', i));
      const stream = random(seed, 'label', i);
      const [a, b] = [this.rate(prompt, first), this.rate(prompt, second)];
      const [chosen, rejected] = prefersFirst(a, b, noise, stream)
        ? [first, second]
        : [second, first];
      const origin = `${this.name}, pair ${i} of seed ${seed}`;
      return { origin, kind: 'preference', prompt, chosen, rejected };
    });
  }

  #pair(prompt: string, behaviour: Behaviour, seed: bigint): readonly [string, string] {
    const first = this.respond(prompt, behaviour, derivedSeed(seed, 'first'));
    for (let attempt = 0; attempt < patience.response; ++attempt) {
      const second = this.respond(prompt, behaviour, derivedSeed(seed, 'second', attempt));
      if (second !== first) return [first, second];
    }
    return refuse(
      `The behaviour writes one and the same response to "${prompt}": there are no pairs to ` +
        'compare. Raise temperature or topK, or widen the support.',
    );
  }

  #read(prompt: string): Situation {
    if (this.#last?.prompt === prompt) return this.#last.situation;
    const situation = this.#task.read(prompt);
    if (situation !== null) {
      this.#last = { prompt, situation };
      return situation;
    }
    throw new AlignlabError(
      'DATA_INVALID',
      `${show(prompt)} is no prompt of the world "${this.name}" at difficulty ` +
        `${this.#difficulty}. Take prompts from its prompts().`,
    );
  }
}

export const makeWorld = <Situation>(task: Task<Situation>, options: WorldOptions): World =>
  new TaskWorld(task, options);
