// Tokens of a text that continues another one, so that the tokens of a prompt are always a prefix
// of the tokens of the prompt with its response.
import { AlignlabError } from '../errors.js';
import type { Tokenizer } from './tokenizer.js';

/**
 * What to do when the tokens of a prompt are not a prefix of those of prompt + response, because a
 * token spans the boundary. split: encode the response by itself, which is what a policy that
 * continues the prompt would see. suffix: the tokens of prompt + response after as many as the
 * prompt alone has (TRL); characters at the boundary may be lost or doubled.
 */
export type BoundaryPolicy = 'split' | 'suffix' | 'error';

export interface Continuation {
  readonly tokens: number[];
  /** A token spans the boundary. */
  readonly merged: boolean;
}

// Texts to put before a response so that it is not encoded as the start of a text. Which of them
// merge with what follows depends on the tokenizer and the response, hence several.
const carriers = ['\n', 'a', '.', '0', ')', '\n\n'];

const startsWith = (tokens: readonly number[], prefix: readonly number[]): boolean =>
  prefix.every((id, i) => tokens[i] === id);

export class Segmentation {
  readonly #tokenizer: Tokenizer;
  /** What the tokenizer puts before a text by itself: a begin-of-sequence token, or nothing. */
  readonly prefix: readonly number[];
  /** Starts of texts are encoded in another way than their middles (SentencePiece's "▁"). */
  readonly #marksStart: boolean;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
    const probe = this.#probe();
    const bare = this.plain(probe);
    const whole = [...tokenizer.encode(probe)];
    const at = whole.findIndex((_, i) => startsWith(whole.slice(i), bare));
    this.prefix = whole.slice(0, Math.max(at, 0));
    const carried = this.#carried(probe, '\n');
    this.#marksStart = carried !== null && !same(carried, bare);
  }

  /** A text that the vocabulary covers. */
  #probe(): string {
    if (this.#covered('a')) return 'a';
    const { size } = this.#tokenizer;
    for (let id = 0; id < size; id += 1) {
      if (this.#tokenizer.has(id)) {
        const text = this.#tokenizer.decode([id]).trim();
        if (text !== '' && this.#covered(text)) return text;
      }
    }
    return '';
  }

  #covered(text: string): number[] | null {
    try {
      const tokens = this.plain(text);
      return tokens.length > 0 ? tokens : null;
    } catch {
      return null; // the vocabulary has no token for a part of it
    }
  }

  /** Without the tokens that the tokenizer adds by itself. */
  plain(text: string): number[] {
    return text === '' ? [] : [...this.#tokenizer.encode(text, { specialTokens: false })];
  }

  /** The tokens of a text that follows other text. */
  continuing(text: string): number[] {
    if (text === '' || !this.#marksStart) return this.plain(text);
    for (const carrier of carriers) {
      const tokens = this.#carried(text, carrier);
      if (tokens) return tokens;
    }
    return this.plain(text);
  }

  /** @param promptTokens what `plain` made of the prompt */
  continuation(
    prompt: string,
    promptTokens: readonly number[],
    response: string,
    { policy, origin }: { readonly policy: BoundaryPolicy; readonly origin: string },
  ): Continuation {
    const whole = this.plain(prompt + response);
    const tokens = whole.slice(promptTokens.length);
    if (startsWith(whole, promptTokens)) return { tokens, merged: false };
    if (policy === 'suffix') return { tokens, merged: true };
    if (policy === 'split') return { tokens: this.continuing(response), merged: true };
    const at = promptTokens.findIndex((id, i) => whole[i] !== id);
    const text = this.#tokenizer.decode(whole.slice(at, at + 1), { skipSpecialTokens: false });
    throw new AlignlabError(
      'DATA_INVALID',
      `${origin}: token ${JSON.stringify(text)} spans the end of the prompt and the start of the ` +
        'response. Move spaces from the end of the prompt to the start of the response, or set ' +
        "boundary: 'split'.",
    );
  }

  #carried(text: string, carrier: string): number[] | null {
    const head = this.#covered(carrier);
    const whole = head && this.#covered(carrier + text);
    if (!head || !whole || whole.length === head.length) return null;
    return startsWith(whole, head) ? whole.slice(head.length) : null;
  }
}

const same = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && startsWith(a, b);
