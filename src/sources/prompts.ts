// Prompts to sample from: token ids for the policy, text and columns for the judge.
import { AlignlabError } from '../errors.js';
import { contentHash } from '../data/content-hash.js';
import type { Encoder } from '../text/encoding.js';
import type { Text, TextRecord } from '../text/example.js';

export interface PolicyPrompt {
  readonly tokens: Int32Array;
  readonly text: Text;
  /** Other columns of the row, for rule judges. */
  readonly columns?: Readonly<Record<string, unknown>>;
  readonly origin?: string;
}

/** The prompt of a row of any kind that has one; null where the encoding dropped the row. */
export const promptOf = (record: TextRecord, encoder: Encoder): PolicyPrompt | null => {
  if (record.kind === 'text') {
    throw new AlignlabError(
      'DATA_INVALID',
      `${record.origin} is a text without a prompt, and there is nothing to answer in it. ` +
        'Give rows with a "prompt".',
    );
  }
  const { origin, prompt } = record;
  const columns = record.kind === 'prompt' ? record.columns : {};
  const { example } = encoder.encode({ kind: 'prompt', origin, prompt, columns });
  return example && { tokens: example.prompt, text: prompt, columns, origin };
};

export const promptsHash = (prompts: readonly PolicyPrompt[]): string =>
  contentHash(prompts.map(({ tokens }) => contentHash(tokens)).join());
