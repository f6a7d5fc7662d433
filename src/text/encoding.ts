// Text to token ids: the one place where prompts meet responses, templates, BOS, EOS and limits.
import type { JsonObject } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import type { ChatTemplate } from './chat-template.js';
import { type Rendered, Renderer } from './dialogue.js';
import {
  type EncodingOptions,
  type ResolvedEncoding,
  resolveEncoding,
} from './encoding-options.js';
import type { Example, Response, Text, TextRecord } from './example.js';
import { Segmentation } from './segmentation.js';
import type { SpecialToken, Tokenizer } from './tokenizer.js';
import { type TooLong, fit } from './truncation.js';

export type { EncodingOptions };

export type DropReason = TooLong | 'empty_completion' | 'empty_prompt';

export type Encoded =
  | { readonly example: Example; readonly truncated: boolean }
  | { readonly example: null; readonly dropped: DropReason };

/** What happened to the rows so far. */
export interface EncodingCounts {
  readonly rows: number;
  readonly encoded: number;
  readonly truncated: number;
  /** Responses whose first token would have merged with the prompt's last. */
  readonly boundaryMerges: number;
  /** BOS tokens that the text spells beyond the one at the start; they were left out. */
  readonly extraBos: number;
  /** Dialogues for which `templateFallback` was used. */
  readonly templateFallbacks: number;
  readonly dropped: Readonly<Record<DropReason, number>>;
}

const noDrops = (): Record<DropReason, number> => ({
  prompt_too_long: 0,
  completion_too_long: 0,
  too_long: 0,
  empty_completion: 0,
  empty_prompt: 0,
});

/** Turns rows of text into examples of token ids. */
export class Encoder {
  readonly tokenizer: Tokenizer;
  readonly #options: ResolvedEncoding;
  readonly #segmentation: Segmentation;
  readonly #renderer: Renderer;
  readonly #bos: SpecialToken | null;
  readonly #eos: SpecialToken | null;
  #counts = { rows: 0, encoded: 0, truncated: 0, boundaryMerges: 0, extraBos: 0 };
  #dropped = noDrops();

  /** Throws OPTION_INVALID for options out of range, TOKENIZER_INVALID for unknown tokens. */
  constructor(tokenizer: Tokenizer, options: EncodingOptions = {}) {
    this.tokenizer = tokenizer;
    this.#options = resolveEncoding(options);
    this.#bos = options.bosToken
      ? tokenizer.tokenOf(options.bosToken, 'BOS')
      : tokenizer.special('bos');
    this.#eos = options.eosToken
      ? tokenizer.tokenOf(options.eosToken, 'EOS')
      : tokenizer.special('eos');
    if (this.#options.bos === 'always' && !this.#bos) {
      throw new AlignlabError(
        'OPTION_INVALID',
        "bos: 'always' needs a begin-of-sequence token, and the tokenizer names none. Give " +
          "bosToken, or leave bos at 'tokenizer': models without one were trained without.",
      );
    }
    this.#segmentation = new Segmentation(tokenizer);
    this.#renderer = new Renderer({
      template: this.#options.chatTemplate,
      fallback: this.#options.templateFallback,
      variables: this.#options.templateVariables,
      bosToken: this.#bos?.text,
      eosToken: this.#eos?.text,
    });
  }

  get chatTemplate(): ChatTemplate | null {
    return this.#options.chatTemplate;
  }

  get bos(): SpecialToken | null {
    return this.#bos;
  }

  get eos(): SpecialToken | null {
    return this.#eos;
  }

  get counts(): EncodingCounts {
    const templateFallbacks = this.#renderer.fallbacks;
    return { ...this.#counts, templateFallbacks, dropped: { ...this.#dropped } };
  }

  /** Everything that decides the token ids, for manifests and cache keys. */
  describe(): JsonObject {
    const { chatTemplate, ...options } = this.#options;
    return {
      ...options,
      tokenizer: this.tokenizer.hash,
      chatTemplate: chatTemplate?.hash ?? null,
      bosToken: this.#bos?.text ?? null,
      eosToken: this.#eos?.text ?? null,
    };
  }

  /**
   * One row. A row without responses becomes a group without samples; a text becomes a completion
   * of its first token, which has no log-probability in any case.
   * Throws DATA_INVALID, TEMPLATE_INVALID or SEQUENCE_TOO_LONG, naming the row.
   */
  encode(record: TextRecord): Encoded {
    this.#counts.rows += 1;
    const { origin } = record;
    switch (record.kind) {
      case 'preference': {
        const { prompt, chosen, rejected, margin } = record;
        const pair = { kind: 'pair' as const, ...(margin === undefined ? {} : { margin }) };
        return this.#finish(pair, this.#renderer.row(prompt, [chosen, rejected], origin), origin);
      }
      case 'unpaired': {
        const { prompt, completion, label } = record;
        const row = this.#renderer.row(prompt, [completion], origin);
        return this.#finish({ kind: 'completion', label }, row, origin);
      }
      case 'completion': {
        const row = this.#renderer.row(record.prompt, [record.completion], origin);
        return this.#finish({ kind: 'completion' }, row, origin);
      }
      case 'prompt':
        return this.#finish(
          { kind: 'group' },
          this.#renderer.row(record.prompt, [], origin),
          origin,
        );
      case 'text': {
        const row = this.#renderer.whole(record.text, origin);
        return this.#finish({ kind: 'completion' }, row, origin);
      }
    }
  }

  /** The tokens that a response continues, whatever their number. */
  encodePrompt(prompt: Text, origin = 'the prompt'): Int32Array {
    const { prompt: text, dialogue } = this.#renderer.row(prompt, [], origin);
    return Int32Array.from(this.#withBos(this.#segmentation.plain(text), dialogue));
  }

  /** The tokens of a text that stands after other text, without BOS and EOS. */
  encodeContinuation(text: string): Int32Array {
    return Int32Array.from(this.#withoutBos(this.#segmentation.continuing(text)));
  }

  /** The text of a prompt; a dialogue through the template, with the opened turn of the assistant. */
  renderPrompt(prompt: Text, origin = 'the prompt'): string {
    return this.#renderer.row(prompt, [], origin).prompt;
  }

  /**
   * The text of a response without special tokens.
   * @param prompt the tokens before it; with them, a space between the two is not lost
   */
  decode(response: Int32Array, prompt?: Int32Array): string {
    if (prompt && prompt.length > 0) {
      const head = this.tokenizer.decode(prompt);
      const whole = this.tokenizer.decode([...prompt, ...response]);
      // Not so when a character's bytes are spread over both.
      if (whole.startsWith(head)) return whole.slice(head.length);
    }
    return this.tokenizer.decode(response);
  }

  #finish(
    base: Pick<Example, 'kind' | 'label' | 'margin'>,
    row: Rendered,
    origin: string,
  ): Encoded {
    const { emptyCompletion } = this.#options;
    if (emptyCompletion !== 'keep' && row.responses.includes('')) {
      if (emptyCompletion === 'error') throw emptyError(origin);
      return this.#drop('empty_completion');
    }
    const bare = this.#segmentation.plain(row.prompt);
    const start = this.#withBos(bare, row.dialogue);
    const ends = row.responses.map((text) => this.#respond(row, bare, text, origin));
    const parts = this.#splitFirst(start, ends, origin);
    if (parts.prompt.length === 0) return this.#drop('empty_prompt');
    const limits = { ...this.#options, bos: this.#bos?.id };
    const fitted = fit(parts.prompt, parts.responses, limits, origin);
    if (typeof fitted === 'string') return this.#drop(fitted);
    if (fitted.responses.some(({ tokens }) => tokens.length === 0)) {
      if (emptyCompletion === 'error') throw emptyError(origin);
      return this.#drop('empty_completion');
    }
    this.#counts.encoded += 1;
    this.#counts.truncated += Number(fitted.truncated);
    const responses = fitted.responses.map(({ tokens, truncated }, r): Response => {
      const cut = { tokens: Int32Array.from(tokens), ...(truncated ? { truncated } : {}) };
      if (!truncated || base.label === undefined) return cut;
      return { ...cut, uncut: Int32Array.from(parts.responses[r]!) };
    });
    const prompt = Int32Array.from(fitted.prompt);
    return { example: { ...base, prompt, responses, origin }, truncated: fitted.truncated };
  }

  #respond(row: Rendered, bare: readonly number[], text: string, origin: string): number[] {
    const policy = this.#options.boundary;
    const { prompt } = row;
    const found = this.#segmentation.continuation(prompt, bare, text, { policy, origin });
    this.#counts.boundaryMerges += Number(found.merged);
    const tokens = this.#withoutBos(found.tokens);
    if (this.#options.eos === 'never' || row.dialogue) return tokens;
    if (!this.#eos) {
      throw new AlignlabError(
        'TOKENIZER_INVALID',
        'Responses end with an end-of-sequence token, and the tokenizer names none. Give ' +
          "eosToken, or set eos: 'never'.",
      );
    }
    return tokens.at(-1) === this.#eos.id ? tokens : [...tokens, this.#eos.id];
  }

  /** The first token of a sequence has no log-probability: without a prompt it stands for one. */
  #splitFirst(
    prompt: readonly number[],
    responses: readonly number[][],
    origin: string,
  ): { readonly prompt: readonly number[]; readonly responses: readonly number[][] } {
    if (prompt.length > 0 || responses.length === 0) return { prompt, responses };
    const first = responses[0]?.[0];
    if (responses.every((tokens) => tokens[0] === first)) {
      return {
        prompt: first === undefined ? [] : [first],
        responses: responses.map((tokens) => tokens.slice(1)),
      };
    }
    throw new AlignlabError(
      'DATA_INVALID',
      `${origin} has an empty prompt, the tokenizer puts no token before a text, and the responses ` +
        "differ in their first tokens, which nothing predicts. Give a prompt, or set bos: 'always'.",
    );
  }

  #withBos(tokens: readonly number[], dialogue: boolean): number[] {
    const { bos: policy } = this.#options;
    const bos = this.#bos?.id;
    let added: readonly number[] = [];
    if (policy === 'always' && bos !== undefined) added = [bos];
    // A template writes the tokens that it wants, as in transformers.
    if (policy === 'tokenizer' && !dialogue) added = this.#segmentation.prefix;
    const [first, ...rest] =
      added.length > 0 && added[0] === tokens[0] ? tokens : [...added, ...tokens];
    return first === undefined ? [] : [first, ...this.#withoutBos(rest, first)];
  }

  /** Where BOS and EOS are one token, only a run at the start is a repeated BOS. */
  #withoutBos(tokens: readonly number[], before?: number): number[] {
    const bos = this.#bos?.id;
    if (bos === undefined) return [...tokens];
    const shared = bos === this.#eos?.id;
    const run = tokens.findIndex((id) => id !== bos);
    const leading = before === bos ? (run < 0 ? tokens.length : run) : 0;
    const kept = shared ? tokens.slice(leading) : tokens.filter((id) => id !== bos);
    this.#counts.extraBos += tokens.length - kept.length;
    return kept;
  }

  #drop(dropped: DropReason): Encoded {
    this.#dropped[dropped] += 1;
    return { example: null, dropped };
  }
}

const emptyError = (origin: string): AlignlabError =>
  new AlignlabError(
    'DATA_INVALID',
    `${origin} has an empty response. Remove the row, or set emptyCompletion to 'drop' (leave such ` +
      "rows out) or 'keep' (train on the end-of-text token alone).",
  );
