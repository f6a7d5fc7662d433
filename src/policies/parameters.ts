// How the logits of an enumerable policy follow from its parameters: a number of their own for each
// (tabular), or a product with features that responses share (log-linear).
import { AlignlabError } from '../errors.js';
import type { ResponseSpace } from './space.js';

/** Logits are prompt-major: of edge e of prompt p at p * edges + e. */
export interface LogitModel {
  readonly family: 'tabular' | 'log-linear';
  readonly parameters: number;
  /** logits += what these parameters say. */
  add(logits: Float64Array, parameters: Float64Array): void;
  /** by parameters += from derivatives by logits. */
  back(gradients: Float64Array, byLogits: Float64Array): void;
  /** Of what decides it besides the space. */
  readonly content: Uint8Array;
}

const addTo = (target: Float64Array, values: Float64Array): void => {
  for (let i = 0; i < target.length; i += 1) target[i]! += values[i]!;
};

export const tabularLogits = ({ edges, prompts }: ResponseSpace): LogitModel => ({
  family: 'tabular',
  parameters: edges * prompts.length,
  add: addTo,
  back: addTo,
  content: new Uint8Array(0),
});

/** Features of an edge after a prompt, all of one length; `edge` as in ResponseSpace. */
export type Features = (prompt: number, edge: number) => ArrayLike<number>;

const matrixOf = ({ edges, prompts }: ResponseSpace, features: Features): Float64Array[] => {
  const rows = prompts.flatMap((_, p) =>
    Array.from({ length: edges }, (__, e) => Float64Array.from(features(p, e))),
  );
  const odd = rows.findIndex(
    (row) => row.length !== rows[0]!.length || !row.every(Number.isFinite),
  );
  if (odd < 0 && rows[0]!.length > 0) return rows;
  throw new AlignlabError(
    'OPTION_INVALID',
    `The features of edge ${odd % edges} must be ${rows[0]!.length || 'some'} finite numbers, as ` +
      'many as those of the others.',
  );
};

export const logLinearLogits = (space: ResponseSpace, features: Features): LogitModel => {
  const rows = matrixOf(space, features);
  const parameters = rows[0]!.length;
  return {
    family: 'log-linear',
    parameters,
    add: (logits, theta) => {
      rows.forEach((row, i) => {
        for (let j = 0; j < parameters; j += 1) logits[i]! += row[j]! * theta[j]!;
      });
    },
    back: (gradients, byLogits) => {
      rows.forEach((row, i) => {
        const slope = byLogits[i]!;
        if (slope === 0) return;
        for (let j = 0; j < parameters; j += 1) gradients[j]! += slope * row[j]!;
      });
    },
    content: Buffer.concat(rows.map(({ buffer }) => Buffer.from(buffer))),
  };
};
