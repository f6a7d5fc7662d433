// Text to token ids and back, with the tokenizer.json of a checkpoint.
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { readJsonFile } from '../checkpoint/json.js';
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

export class Tokenizer {
  readonly #tokenizer: LibraryTokenizer;
  readonly #path: string;

  private constructor(tokenizer: LibraryTokenizer, path: string) {
    this.#tokenizer = tokenizer;
    this.#path = path;
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
      return new LibraryTokenizer(complete, config?.value ?? {});
    });
    return new Tokenizer(tokenizer, path);
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
    const unknown = list.find((id) => this.#tokenizer.id_to_token(id) === undefined);
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
