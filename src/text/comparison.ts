// Two responses to one prompt as one sequence, for a preference model r(x, y1, y2) that reads both
// (Tang et al. 2024, appendix A.1). A common head and the orders (y1, y2) and (y2, y1) after it.
import type { JsonObject } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import { spoken } from './dialogue.js';
import type { DropReason, Encoder } from './encoding.js';
import type { Example, Text, TextRecord } from './example.js';

/** Plain text around the parts; every one must be there, so that parts cannot be confused. */
export interface ComparisonSeparators {
  readonly beforePrompt: string;
  readonly beforeFirst: string;
  readonly beforeSecond: string;
  /** Last, so that the output is always read at the same token. */
  readonly end: string;
}

export const defaultSeparators: ComparisonSeparators = {
  beforePrompt: 'Prompt:\n',
  beforeFirst: '\n\nFirst response:\n',
  beforeSecond: '\n\nSecond response:\n',
  end: '\n\nBetter response:',
};

export interface ComparisonOptions {
  readonly separators?: Partial<ComparisonSeparators>;
  /**
   * Of the whole sequence. A longer one loses the start of its prompt, then the end of the longer
   * response, then of both alike; absent: no limit.
   */
  readonly maxLength?: number | null;
}

/** Both orders, after a common head. */
export interface Comparison {
  readonly head: Int32Array;
  /** The first response shown first, and the second one shown first. */
  readonly orders: readonly [Int32Array, Int32Array];
  readonly truncated: boolean;
}

/** The largest length to which both can be cut so that together they fit. */
const cutTo = (a: number, b: number, room: number): number => {
  if (a + b <= room) return Math.max(a, b);
  const shorter = Math.min(a, b);
  return shorter * 2 <= room ? room - shorter : Math.floor(room / 2);
};

/** Encodes comparisons, for training and for judging alike. */
export class ComparisonEncoder {
  readonly #encoder: Encoder;
  readonly #separators: ComparisonSeparators;
  readonly #pieces: Readonly<Record<keyof ComparisonSeparators, readonly number[]>>;
  readonly #maxLength: number;
  #truncated = 0;

  /** Throws OPTION_INVALID for an empty separator or too small a length. */
  constructor(encoder: Encoder, { separators = {}, maxLength }: ComparisonOptions = {}) {
    this.#encoder = encoder;
    this.#separators = { ...defaultSeparators, ...separators };
    for (const [name, text] of Object.entries(this.#separators)) {
      if (typeof text === 'string' && text.trim() !== '') continue;
      throw new AlignlabError(
        'OPTION_INVALID',
        `The separator ${name} of comparisons is ${JSON.stringify(text)}. Give a text with more ` +
          'than spaces, or leave it out for the default.',
      );
    }
    const { beforePrompt, beforeFirst, beforeSecond, end } = this.#separators;
    const continued = (text: string): number[] => [...encoder.encodeContinuation(text)];
    this.#pieces = {
      // With what the encoding puts at the start of a text.
      beforePrompt: [...encoder.encodePrompt(beforePrompt)],
      beforeFirst: continued(beforeFirst),
      beforeSecond: continued(beforeSecond),
      end: continued(end),
    };
    this.#maxLength = maxLength ?? Infinity;
    const least = this.#fixed + 3;
    if (this.#maxLength >= least && (maxLength == null || Number.isSafeInteger(maxLength))) return;
    throw new AlignlabError(
      'OPTION_INVALID',
      `maxLength of comparisons must be a whole number from ${least} up (the separators take ` +
        `${this.#fixed} tokens), got ${String(maxLength)}.`,
    );
  }

  /** Comparisons that were cut. */
  get truncated(): number {
    return this.#truncated;
  }

  describe(): JsonObject {
    const maxLength = this.#maxLength === Infinity ? null : this.#maxLength;
    return { ...this.#encoder.describe(), separators: { ...this.#separators }, maxLength };
  }

  /**
   * @param first, second the texts of the responses, which may be empty
   */
  compare(prompt: Text, first: Text, second: Text, origin = 'the comparison'): Comparison {
    const asked = [...this.#encoder.encodeContinuation(this.#encoder.renderPrompt(prompt, origin))];
    const [a, b] = [first, second].map((text) => [
      ...this.#encoder.encodeContinuation(spoken(text)),
    ]) as [number[], number[]];
    const room = this.#maxLength - this.#fixed;
    // At least one token of the prompt stays.
    const keep = Math.max(
      Math.min(asked.length, 1),
      Math.min(asked.length, room - a.length - b.length),
    );
    const limit = cutTo(a.length, b.length, room - keep);
    const truncated = keep < asked.length || limit < Math.max(a.length, b.length);
    this.#truncated += Number(truncated);
    const { beforePrompt, beforeFirst, beforeSecond, end } = this.#pieces;
    const [one, two] = [a.slice(0, limit), b.slice(0, limit)];
    const order = (x: readonly number[], y: readonly number[]): Int32Array =>
      Int32Array.from([...x, ...beforeSecond, ...y, ...end]);
    const kept = asked.slice(asked.length - keep);
    return {
      head: Int32Array.from([...beforePrompt, ...kept, ...beforeFirst]),
      orders: [order(one, two), order(two, one)],
      truncated,
    };
  }

  /**
   * A preference as a pair: responses are the orders (chosen, rejected) and (rejected, chosen).
   * Rows with an empty response are dropped. Throws DATA_INVALID for rows of another kind.
   */
  encode(
    record: TextRecord,
  ):
    | { readonly example: Example; readonly truncated: boolean }
    | { readonly example: null; readonly dropped: DropReason } {
    const { origin } = record;
    if (record.kind !== 'preference') {
      throw new AlignlabError(
        'DATA_INVALID',
        `${origin} is a row of the kind "${record.kind}", and a preference model learns from ` +
          'pairs. Give rows with prompt, chosen and rejected.',
      );
    }
    const { prompt, chosen, rejected, margin } = record;
    if (spoken(chosen) === '' || spoken(rejected) === '') {
      return { example: null, dropped: 'empty_completion' };
    }
    const { head, orders, truncated } = this.compare(prompt, chosen, rejected, origin);
    const example: Example = {
      kind: 'pair',
      prompt: head,
      responses: orders.map((tokens) => ({ tokens })),
      ...(margin === undefined ? {} : { margin }),
      origin,
    };
    return { example, truncated };
  }

  get #fixed(): number {
    return Object.values(this.#pieces).reduce((sum, tokens) => sum + tokens.length, 0);
  }
}
