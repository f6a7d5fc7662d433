// A batch is a forest: each segment of tokens continues its parent or starts a sequence.
import { AlignlabError } from '../errors.js';
import type { ForestArrays } from './native.js';

export interface Segment {
  readonly tokens: Int32Array | readonly number[];
  /** Index of an earlier segment of the batch that this one continues; none for a root. */
  readonly parent?: number;
  /** Do its tokens get log-probabilities? Default true. A root's first token never does. */
  readonly scored?: boolean;
}

export type Batch = readonly Segment[];

export interface BatchOptions {
  /** Read the scalar head at the last token of each scored segment, or at given packed tokens. */
  readonly scalarAt?: 'last' | Int32Array;
}

const isToken = (id: unknown): id is number =>
  Number.isInteger(id) && (id as number) >= 0 && (id as number) < 2 ** 31;

const checkSegment = (segment: Segment, index: number): void => {
  const { tokens, parent, scored } = segment ?? {};
  if (!(tokens instanceof Int32Array) && !Array.isArray(tokens)) {
    throw new AlignlabError(
      'BATCH_INVALID',
      `The tokens of segment ${index} must be an Int32Array or an array of token ids.`,
    );
  }
  if (!(tokens instanceof Int32Array)) {
    const bad = tokens.findIndex((id) => !isToken(id));
    if (bad >= 0) {
      throw new AlignlabError(
        'TOKEN_OUT_OF_RANGE',
        `Token ${String(tokens[bad])} at place ${bad} of segment ${index} is not a token id ` +
          '(a whole number from 0). Encode text with the tokenizer first.',
      );
    }
  }
  if (scored !== undefined && typeof scored !== 'boolean') {
    throw new AlignlabError(
      'BATCH_INVALID',
      `The mark "scored" of segment ${index} must be true or false, got ${String(scored)}.`,
    );
  }
  if (parent === undefined || (Number.isInteger(parent) && parent >= 0 && parent < index)) return;
  throw new AlignlabError(
    'BATCH_INVALID',
    `The parent of segment ${index} is ${String(parent)}. It must be the index of a segment ` +
      'before it in the list, or absent, for a root.',
  );
};

/** The arrays of the native interface. Lengths and the vocabulary are checked natively. */
export const packForest = (batch: Batch, { scalarAt }: BatchOptions = {}): ForestArrays => {
  // Array.isArray would narrow the readonly list to any[].
  if (!((batch as unknown) instanceof Array)) {
    throw new AlignlabError('BATCH_INVALID', 'A batch must be a list of segments.');
  }
  if (scalarAt !== undefined && scalarAt !== 'last' && !(scalarAt instanceof Int32Array)) {
    throw new AlignlabError(
      'BATCH_INVALID',
      "scalarAt must be 'last' or an Int32Array of packed token indices.",
    );
  }
  batch.forEach(checkSegment);
  const offsets = new Int32Array(batch.length + 1);
  batch.forEach((segment, s) => {
    offsets[s + 1] = (offsets[s] ?? 0) + segment.tokens.length;
  });
  const tokens = new Int32Array(offsets[batch.length] ?? 0);
  batch.forEach((segment, s) => {
    tokens.set(segment.tokens, offsets[s]);
  });
  const scored = Uint8Array.from(batch, (segment) => Number(segment.scored ?? true));
  const last = (): Int32Array =>
    Int32Array.from(
      [...scored.keys()].filter((s) => scored[s] === 1),
      (s) => (offsets[s + 1] ?? 0) - 1,
    );
  return {
    tokens,
    offsets,
    parents: Int32Array.from(batch, (segment) => segment.parent ?? -1),
    scored,
    scalarAt: scalarAt === 'last' ? last() : (scalarAt ?? new Int32Array(0)),
  };
};

/** A prompt, computed once, with each of the responses continuing it; only those are scored. */
export const promptWithResponses = (
  prompt: Segment['tokens'],
  responses: readonly Segment['tokens'][],
): Segment[] => [
  { tokens: prompt, scored: false },
  ...responses.map((tokens) => ({ tokens, parent: 0 })),
];

/** Several batches as one; parents are counted on. */
export const joinBatches = (batches: readonly Batch[]): Segment[] => {
  const joined: Segment[] = [];
  for (const batch of batches) {
    const base = joined.length;
    for (const segment of batch) {
      joined.push(
        segment.parent === undefined ? segment : { ...segment, parent: segment.parent + base },
      );
    }
  }
  return joined;
};
