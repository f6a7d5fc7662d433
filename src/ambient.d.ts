// Types of two packages: node-gyp-build ships none, and those of @huggingface/tokenizers import one
// another without file extensions, which NodeNext does not resolve. Only what is used here.

declare module 'node-gyp-build' {
  /** Loads the addon of the package in `folder`: its own build first, then its prebuilds. */
  const load: (folder: string) => unknown;
  export default load;
}

declare module '@huggingface/tokenizers' {
  export class Tokenizer {
    constructor(definition: object, config: object);
    encode(text: string, options?: { add_special_tokens?: boolean }): { ids: number[] };
    decode(
      ids: readonly number[],
      options?: { skip_special_tokens?: boolean; clean_up_tokenization_spaces?: boolean | null },
    ): string;
    token_to_id(token: string): number | undefined;
    id_to_token(id: number): string | undefined;
    get_vocab(withAddedTokens?: boolean): Map<string, number>;
  }
}
