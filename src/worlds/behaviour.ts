// How the behaviour policy of a world writes: each response is a chain of choices among moves, and
// settings say how good the choices are (quality) and how much of what is possible they ever reach
// (temperature, top-k, support masks): coverage in the sense of Song et al. 2024.
import { show } from '../checkpoint/json.js';
import type { RandomStream } from '../data/random.js';
import { AlignlabError } from '../errors.js';

export interface Behaviour {
  /**
   * 0: blind to what is good. 1: nearly always the better move. Of a range, each response draws
   * its own. Default [0.1, 0.6].
   */
  readonly quality?: number | readonly [number, number];
  /** Of every choice. Default 1; towards 0 only the likeliest move is left. */
  readonly temperature?: number;
  /** The likeliest moves that are kept at each choice. Default null: all. */
  readonly topK?: number | null;
  /** Choice → the moves that ever happen; choices that are not named keep all. */
  readonly support?: Readonly<Record<string, readonly string[]>>;
  /** Words that no response contains: the rest of the distribution is as without this. */
  readonly withoutWords?: readonly string[];
}

export interface ResolvedBehaviour {
  readonly quality: readonly [number, number];
  readonly temperature: number;
  readonly topK: number | null;
  readonly support: Readonly<Record<string, readonly string[]>>;
  readonly withoutWords: readonly string[];
}

/** Choice → its moves. */
export type Choices = Readonly<Record<string, readonly string[]>>;

/** Move → [log of how common it is, how good it seems to the behaviour policy]. */
export type Moves<Label extends string> = Readonly<
  Partial<Record<Label, readonly [number, number]>>
>;

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

const known = new Set(['quality', 'temperature', 'topK', 'support', 'withoutWords']);

const checkSupport = (support: Behaviour['support'], choices: Choices): void => {
  for (const [choice, moves] of Object.entries(support ?? {})) {
    const possible = choices[choice];
    if (!possible) {
      refuse(`There is no choice "${choice}". There are ${Object.keys(choices).join(', ')}.`);
    } else if (!Array.isArray(moves) || moves.length === 0) {
      refuse(`The support of "${choice}" must list at least one of ${possible.join(', ')}.`);
    } else {
      const stray = moves.find((move) => !possible.includes(move as string)) as unknown;
      if (stray === undefined) continue;
      refuse(`"${choice}" has no move ${show(stray)}. It has ${possible.join(', ')}.`);
    }
  }
};

/** Throws OPTION_INVALID. */
export const resolveBehaviour = (
  behaviour: Behaviour,
  choices: Choices,
  vocabulary: ReadonlySet<string>,
): ResolvedBehaviour => {
  const stray = Object.keys(behaviour).find((key) => !known.has(key));
  if (stray !== undefined) {
    refuse(`A behaviour has no setting ${show(stray)}. It has ${[...known].join(', ')}.`);
  }
  const { quality = [0.1, 0.6], temperature = 1, topK = null } = behaviour;
  const range = typeof quality === 'number' ? ([quality, quality] as const) : quality;
  const [low, high] = range;
  if (!(range.length === 2 && low >= 0 && low <= high && high <= 1)) {
    refuse(`quality must be a number from 0 to 1 or a range of them, got ${show(quality)}.`);
  }
  if (!(temperature > 0 && temperature < Infinity)) {
    refuse(`temperature must be above 0, got ${show(temperature)}.`);
  }
  if (topK !== null && !(Number.isSafeInteger(topK) && topK >= 1)) {
    refuse(`topK must be a whole number from 1 up, or null, got ${show(topK)}.`);
  }
  checkSupport(behaviour.support, choices);
  const withoutWords = (behaviour.withoutWords ?? []).map((word) => word.toLowerCase());
  const unknown = withoutWords.find((word) => !vocabulary.has(word));
  if (unknown !== undefined) {
    refuse(`withoutWords has ${show(unknown)}, which is no word of this world.`);
  }
  return { quality: range, temperature, topK, support: behaviour.support ?? {}, withoutWords };
};

/** Logits gained by a move of value 1 at quality 1. */
const sharpness = 4.5;

/** Makes the choices of one response. */
export class Chooser {
  readonly #behaviour: ResolvedBehaviour;
  readonly #stream: RandomStream;
  readonly #sharpness: number;

  constructor(behaviour: ResolvedBehaviour, stream: RandomStream) {
    const [low, high] = behaviour.quality;
    this.#behaviour = behaviour;
    this.#stream = stream;
    this.#sharpness = sharpness * (low + (high - low) * stream.uniform());
  }

  /**
   * One move, or null where the support leaves none of those that are possible here.
   * P(move) is proportional to exp((common + sharpness · value) / temperature).
   */
  pick<Label extends string>(choice: string, moves: Moves<Label>): Label | null {
    const { temperature, topK, support } = this.#behaviour;
    const allowed = support[choice];
    const logits = (Object.keys(moves) as Label[])
      .filter((label) => !allowed || allowed.includes(label))
      .map((label) => {
        const [common, value] = moves[label]!;
        return { label, logit: (common + this.#sharpness * value) / temperature };
      })
      .sort((a, b) => b.logit - a.logit)
      .slice(0, topK ?? Infinity);
    const [first] = logits;
    if (!first) return null;
    const weights = logits.map(({ logit }) => Math.exp(logit - first.logit));
    let left = this.#stream.uniform() * weights.reduce((sum, weight) => sum + weight, 0);
    const at = weights.findIndex((weight) => (left -= weight) < 0);
    return (logits[at] ?? first).label;
  }

  /** Any of these, each as likely. */
  any<Item>(items: readonly Item[]): Item {
    const item = items[this.#stream.below(items.length)];
    if (item === undefined) throw new AlignlabError('INTERNAL', 'There is nothing to choose from.');
    return item;
  }

  /** Any of these but one. */
  other<Item>(items: readonly Item[], not: Item): Item {
    return this.any(items.filter((item) => item !== not));
  }
}

/** Slips of the pen, at most one a response: the choice that all worlds have. */
export const slipChoice = ['none', 'missing word', 'doubled word', 'swapped words', 'no end'];

/** The response with the slip that is picked. Rarer at high quality. */
export const withSlip = (chooser: Chooser, text: string): string => {
  const slip = chooser.pick('slip', {
    none: [2.2, 0.5],
    'missing word': [0, -0.5],
    'doubled word': [-0.5, -0.5],
    'swapped words': [-0.5, -0.5],
    'no end': [-0.5, -0.5],
  });
  const words = text.split(' ');
  // Marks stay where they are, and so does the first word with its capital.
  const plain = words.flatMap((word, i) => (i > 0 && /^[a-z']+$/.test(word) ? [i] : []));
  if (slip === 'no end') return text.replace(/[.!?]$/, '');
  if (slip === null || slip === 'none' || plain.length === 0) return text;
  const at = chooser.any(plain);
  if (slip === 'missing word') words.splice(at, 1);
  if (slip === 'doubled word') words.splice(at, 0, words[at]!);
  if (slip === 'swapped words') {
    const with_ = plain[(plain.indexOf(at) + 1) % plain.length]!;
    [words[at], words[with_]] = [words[with_]!, words[at]!];
  }
  return words.join(' ');
};
