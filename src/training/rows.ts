// From the engine's results to the rows that objectives read, and from their derivatives back to
// the engine's coefficients.
import type { Scores } from '../engine/scores.js';
import { AlignlabError } from '../errors.js';
import type { Needs, Row, Sequence, SequenceGradient } from '../objectives/objective.js';
import type { Example } from '../text/example.js';
import type { Pass, Place } from './passes.js';

/** What is known of an example's responses before the step, and does not change during it. */
export type Known = Pick<
  Sequence,
  'reference' | 'oldValues' | 'advantages' | 'returns' | 'behaviour' | 'reward'
>;

/** An example with what was found out about it when its batch was taken. */
export interface Experience {
  readonly example: Example;
  /** One for each response. */
  readonly known: readonly Known[];
}

/** What one pass through the policy (and the critic) said of an example. */
export interface Measured {
  readonly promptLogProbs?: Float32Array;
  /** One for each response. */
  readonly responses: readonly Pick<
    Sequence,
    'logProbs' | 'entropies' | 'exactKl' | 'values' | 'score'
  >[];
}

export type Mismatched = NonNullable<Row['mismatched']>;

const view = (packed: Float32Array, offsets: Int32Array, segment: number): Float32Array =>
  packed.subarray(offsets[segment], offsets[segment + 1]);

export interface PassResults {
  readonly scores: Pick<Scores, 'logProbs' | 'entropies' | 'scalars' | 'offsets'>;
  /** In the order of log-probabilities. */
  readonly exactKl?: Float32Array;
  /** The critic's outputs at `valuePlaces`. */
  readonly values?: Float32Array;
}

/** Packed index of each segment's first token, and the end. */
const starts = ({ batch }: Pass): Int32Array => {
  const offsets = new Int32Array(batch.length + 1);
  batch.forEach(({ tokens }, s) => (offsets[s + 1] = offsets[s]! + tokens.length));
  return offsets;
};

/** Packed indices of the last tokens of all responses. */
export const scorePlaces = (pass: Pass): Int32Array => {
  const offsets = starts(pass);
  return Int32Array.from(
    pass.places.flatMap(({ responses }) => responses.map((s) => offsets[s + 1]! - 1)),
  );
};

/**
 * Packed indices at which a critic is read: V(x, y_<t) for each token t of each response stands at
 * the token before it, the first one's at the end of the prompt.
 */
export const valuePlaces = (pass: Pass): Int32Array => {
  const offsets = starts(pass);
  return Int32Array.from(
    pass.places.flatMap(({ prompt, responses }) =>
      responses.flatMap((s) => {
        const before = prompt === undefined ? offsets[s]! : offsets[prompt + 1]! - 1;
        const inside = Array.from(
          { length: pass.batch[s]!.tokens.length - 1 },
          (_, t) => offsets[s]! + t,
        );
        return prompt === undefined ? inside : [before, ...inside];
      }),
    ),
  );
};

/** Splits a pass's results; in the order of its places. */
export const measured = (pass: Pass, results: PassResults, needs: Needs): Measured[] => {
  const { scores, exactKl, values } = results;
  const { logProbs, entropies, offsets, scalars } = scores;
  let score = 0;
  let value = 0;
  const response = (s: number): Measured['responses'][number] => {
    const own = needs.scores ? new Float32Array(0) : view(logProbs, offsets, s);
    const from = value;
    value += values ? own.length : 0;
    return {
      logProbs: own,
      ...(entropies.length > 0 ? { entropies: view(entropies, offsets, s) } : {}),
      ...(exactKl ? { exactKl: view(exactKl, offsets, s) } : {}),
      ...(values ? { values: values.subarray(from, value) } : {}),
      ...(needs.scores ? { score: scalars[score++]! } : {}),
    };
  };
  const promptOf = ({ prompt }: Place): Float32Array =>
    prompt === undefined ? new Float32Array(0) : view(logProbs, offsets, prompt);
  return pass.places.map((place) => ({
    ...(needs.promptLogProbs ? { promptLogProbs: promptOf(place) } : {}),
    responses: place.responses.map(response),
  }));
};

export const rowOf = (
  { example, known }: Experience,
  { promptLogProbs, responses }: Measured,
  mismatched?: Mismatched,
): Row => ({
  kind: example.kind,
  sequences: responses.map((sequence, r) => {
    const { truncated, fromReference } = example.responses[r]!;
    return {
      ...sequence,
      ...known[r],
      ...(promptLogProbs ? { promptLogProbs } : {}),
      ...(truncated === undefined ? {} : { truncated }),
      ...(fromReference === undefined ? {} : { fromReference }),
    };
  }),
  ...(example.label === undefined ? {} : { label: example.label }),
  ...(example.margin === undefined ? {} : { margin: example.margin }),
  ...(example.weight === undefined ? {} : { weight: example.weight }),
  ...(example.gap === undefined ? {} : { gap: example.gap }),
  ...(mismatched ? { mismatched } : {}),
});

/** Coefficients of one pass; `values` are the critic's. */
export interface PassCoefficients {
  readonly logProbs: Float32Array;
  readonly entropies?: Float32Array;
  readonly scalars?: Float32Array;
  readonly values?: Float32Array;
}

const addTo = (
  target: Float32Array,
  at: number,
  gradient: Float32Array | undefined,
  { weight, length }: { readonly weight: number; readonly length: number },
): void => {
  if (!gradient) return;
  if (gradient.length !== length) {
    throw new AlignlabError(
      'INTERNAL',
      `The objective returned ${gradient.length} derivatives for ${length} values. ` +
        'Each derivative must have the length of what it is taken by.',
    );
  }
  for (let i = 0; i < length; ++i) target[at + i]! += weight * gradient[i]!;
};

/**
 * The derivatives of each place's row, in the order of the engine's results. `weight` is the
 * scope's share of the loss.
 */
export const coefficientsOf = (
  pass: Pass,
  { scores, values }: PassResults,
  gradients: readonly (readonly SequenceGradient[])[],
  weight: number,
): PassCoefficients => {
  const { offsets } = scores;
  const logProbs = new Float32Array(scores.logProbs.length);
  const entropies = new Float32Array(scores.entropies.length);
  const scalars = new Float32Array(scores.scalars.length);
  const ofValues = new Float32Array(values?.length ?? 0);
  let score = 0;
  let value = 0;
  pass.places.forEach(({ prompt, responses }, p) => {
    responses.forEach((segment, r) => {
      const gradient = gradients[p]?.[r] ?? {};
      const at = offsets[segment]!;
      const own = { weight, length: offsets[segment + 1]! - at };
      addTo(logProbs, at, gradient.logProbs, own);
      addTo(entropies, at, gradient.entropies, own);
      if (scalars.length > 0) scalars[score++] = weight * (gradient.score ?? 0);
      if (values) {
        addTo(ofValues, value, gradient.values, own);
        value += own.length;
      }
      if (prompt === undefined) return;
      const length = offsets[prompt + 1]! - offsets[prompt]!;
      addTo(logProbs, offsets[prompt]!, gradient.promptLogProbs, { weight, length });
    });
  });
  return {
    logProbs,
    ...(entropies.length > 0 ? { entropies } : {}),
    ...(scalars.length > 0 ? { scalars } : {}),
    ...(values ? { values: ofValues } : {}),
  };
};

export const allZero = ({ logProbs, entropies, scalars }: PassCoefficients): boolean =>
  [logProbs, entropies, scalars].every((list) => !list?.some((x) => x !== 0));
