// Rows for the tests of the encoding, and what became of them as plain arrays.
import type { Encoder } from '../../src/text/encoding.js';
import type { Example, Text, TextRecord } from '../../src/text/example.js';

export const origin = 'rows.jsonl:3';
export const pair = (prompt: Text, chosen: Text, rejected: Text): TextRecord => ({
  kind: 'preference',
  prompt,
  chosen,
  rejected,
  origin,
});
export const user = (content: string) => [{ role: 'user', content }];
export const assistant = (content: string) => [{ role: 'assistant', content }];

export const encoded = (encoder: Encoder, record: TextRecord): Example => {
  const { example } = encoder.encode(record);
  if (!example) throw new Error('the row was dropped');
  return example;
};

/** Prompt and responses as plain arrays. */
export const ids = ({ prompt, responses }: Example): number[][] => [
  [...prompt],
  ...responses.map(({ tokens }) => [...tokens]),
];
