// Text to token ids and back, with the tokenizer.json of a checkpoint.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { type JsonObject, isObject, readJsonFile, show } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';

/**
 * The part of the library that is used. Its own declarations import each other without file
 * extensions, which NodeNext does not resolve.
 */
interface LibraryTokenizer {
  /** Ids are undefined for text that no token covers. */
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_vocab(): Map<string, number>;
}
const LibraryTokenizer = HuggingFaceTokenizer as unknown as new (
  definition: object,
  config: object,
) => LibraryTokenizer;

export interface EncodeOptions {
  /** Add what the tokenizer's template adds, such as a begin-of-sequence token. Default true. */
  readonly specialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leave out tokens such as </s>. Default true. */
  readonly skipSpecialTokens?: boolean;
}

export interface SpecialToken {
  readonly text: string;
  readonly id: number;
}

export class Tokenizer {
  readonly #tokenizer: LibraryTokenizer;
  readonly #path: string;
  /** tokenizer_config.json, above special_tokens_map.json. */
  readonly #config: JsonObject;
  /** SHA-256 of tokenizer.json, hexadecimal: what text becomes depends on nothing else. */
  readonly hash: string;

  private constructor(
    tokenizer: LibraryTokenizer,
    path: string,
    config: JsonObject,
    definition: string,
  ) {
    this.#tokenizer = tokenizer;
    this.#path = path;
    this.#config = config;
    this.hash = createHash('sha256').update(definition).digest('hex');
  }

  /** Reads tokenizer.json, and tokenizer_config.json where there is one. */
  static async load(folder: string): Promise<Tokenizer> {
    const path = join(folder, 'tokenizer.json');
    const definition = await readJsonFile(path, 'TOKENIZER_INVALID');
    const config = await readJsonFile(join(folder, 'tokenizer_config.json'), 'TOKENIZER_INVALID');
    if (!definition) {
      throw new AlignlabError(
        'CHECKPOINT_NOT_FOUND',
        `${folder} has no tokenizer.json. Save the tokenizer beside the model ` +
          '(AutoTokenizer.from_pretrained(...).save_pretrained), or give token ids.',
      );
    }
    const added = definition.value.added_tokens ?? [];
    const complete = { ...definition.value, added_tokens: added };
    const tokenizer = guard(path, 'cannot be used', () => {
      // The library looks for a word-level model's unknown token in the wrong file.
      const { model } = definition.value;
      const unknown = isObject(model) ? { unk_token: model.unk_token } : {};
      return new LibraryTokenizer(complete, { ...config?.value, ...unknown });
    });
    const map = await readJsonFile(join(folder, 'special_tokens_map.json'), 'TOKENIZER_INVALID');
    const settings = { ...map?.value, ...config?.value };
    return new Tokenizer(tokenizer, path, settings, definition.text);
  }

  /** One more than the largest id. */
  get size(): number {
    let size = 0;
    for (const id of this.#tokenizer.get_vocab().values()) size = Math.max(size, id + 1);
    return size;
  }

  encode(text: string, { specialTokens = true }: EncodeOptions = {}): Int32Array {
    const ids = guard(
      this.#path,
      'failed to encode',
      () =>
        // The library returns undefined ids for text that no token covers.
        this.#tokenizer.encode(text, { add_special_tokens: specialTokens }).ids as unknown[],
    );
    const known = ids.filter((id) => id !== undefined);
    if (known.length === ids.length) return Int32Array.from(known);
    throw new AlignlabError(
      'TOKENIZER_INVALID',
      `${this.#path} has no token for a part of the text and no unknown token ` +
        `(piece ${ids.indexOf(undefined)} of ${ids.length}). Use a tokenizer that covers the text.`,
    );
  }

  /** What the tokens spell, without the clean-up of spaces that some settings ask for. */
  decode(ids: Iterable<number>, { skipSpecialTokens = true }: DecodeOptions = {}): string {
    const list = [...ids];
    const unknown = list.find((id) => !this.has(id));
    if (unknown !== undefined) {
      throw new AlignlabError(
        'TOKEN_OUT_OF_RANGE',
        `Token ${unknown} is not in ${this.#path}. Use the tokenizer that belongs to the model.`,
      );
    }
    if (list.length === 0) return ''; // the library refuses an empty list
    return guard(this.#path, 'failed to decode', () =>
      this.#tokenizer.decode(list, {
        skip_special_tokens: skipSpecialTokens,
        clean_up_tokenization_spaces: false,
      }),
    );
  }

  idOf(token: string): number | undefined {
    return this.#tokenizer.token_to_id(token);
  }

  has(id: number): boolean {
    return this.#tokenizer.id_to_token(id) !== undefined;
  }

  /** A token by its text. Throws TOKENIZER_INVALID when the vocabulary has none. */
  tokenOf(text: string, use: string): SpecialToken {
    const id = this.idOf(text);
    if (id !== undefined) return { text, id };
    throw new AlignlabError(
      'TOKENIZER_INVALID',
      `The ${use} token ${show(text)} is not in the vocabulary of ${this.#path}. Name one that is.`,
    );
  }

  /** What tokenizer_config.json names as `bos_token` or `eos_token`; null where it names none. */
  special(name: 'bos' | 'eos'): SpecialToken | null {
    const given = this.#config[`${name}_token`];
    const text = isObject(given) ? given.content : given;
    if (text === undefined || text === null) return null;
    return this.tokenOf(typeof text === 'string' ? text : show(text), name.toUpperCase());
  }
}

const guard = <Result>(path: string, what: string, action: () => Result): Result => {
  try {
    return action();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AlignlabError(
      'TOKENIZER_INVALID',
      `${path} ${what}: ${reason}. Use a tokenizer.json written by the tokenizers library.`,
      { cause },
    );
  }
};
