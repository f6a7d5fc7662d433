// A batch of segments as paths through a ResponseSpace: which edge each scored token is.
import type { Batch, BatchOptions, Segment } from '../engine/batch.js';
import { AlignlabError } from '../errors.js';
import type { ResponseSpace } from './space.js';

export interface Walk {
  /** Of each scored token: its edge, as an index of logits, and its state, prompt-major. */
  readonly edges: Int32Array;
  readonly states: Int32Array;
  /** As of Scores. */
  readonly offsets: Int32Array;
}

const refuse = (message: string): never => {
  throw new AlignlabError('BATCH_INVALID', message);
};

interface End {
  readonly prompt: number;
  readonly state: number;
}

const checkRoot = ({ scored = true }: Segment, index: number): void => {
  if (!scored) return;
  refuse(
    `Segment ${index} is a prompt, to which an enumerable policy gives no probability: it cannot ` +
      'be scored.',
  );
};

/** Throws BATCH_INVALID, or DATA_INVALID for prompts and responses that the space has not. */
export const walk = (space: ResponseSpace, batch: Batch, { scalarAt }: BatchOptions = {}): Walk => {
  if (scalarAt !== undefined) refuse('An enumerable policy has no scalar head.');
  const offsets = new Int32Array(batch.length + 1);
  const [edges, states]: [number[], number[]] = [[], []];
  const ends: End[] = [];
  batch.forEach((segment, s) => {
    const { tokens, parent, scored = true } = segment;
    if (parent === undefined) {
      checkRoot(segment, s);
      ends.push({ prompt: space.promptIndex(tokens), state: 0 });
    } else {
      const from =
        ends[parent] ?? refuse(`Segment ${s} continues ${parent}, which is not before it.`);
      let { state } = from;
      for (const token of tokens) {
        const edge = space.edge(state, token);
        if (scored) {
          edges.push(from.prompt * space.edges + edge);
          states.push(from.prompt * space.states + state);
        }
        state = space.next[edge]!;
      }
      ends.push({ prompt: from.prompt, state });
    }
    offsets[s + 1] = edges.length;
  });
  return { edges: Int32Array.from(edges), states: Int32Array.from(states), offsets };
};
