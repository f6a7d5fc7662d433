// Rows of random numbers for tests of objectives, and numerical derivatives of their losses.
import type {
  Evaluation,
  Objective,
  ObjectiveEntry,
  Row,
  RowKind,
  Sequence,
  SequenceGradient,
  Totals,
} from '../../src/objectives/objective.js';

/** Uniform numbers in [0, 1), the same for the same seed (Park and Miller's generator). */
export const uniform = (seed: number): (() => number) => {
  let state = (seed * 7919 + 12345) % 2147483647 || 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
};

/**
 * Doubles where the interface says Float32Array: objectives only read them, and in double a central
 * difference is not drowned by rounding.
 */
export const doubles = (values: readonly number[]): Float32Array =>
  Float64Array.from(values) as unknown as Float32Array;

export interface RandomRows {
  readonly kind: RowKind;
  readonly seed: number;
  readonly rows?: number;
  /** All responses of this many tokens; else 1 to 5. */
  readonly length?: number;
}

const randomSequence = (next: () => number, length: number): Sequence => {
  const draw = (low: number, high: number): Float32Array =>
    doubles(Array.from({ length }, () => low + (high - low) * next()));
  const logProbs = draw(-3, -0.05);
  const near = (width: number): Float32Array =>
    doubles(Array.from(logProbs, (value) => Math.min(-1e-3, value + width * (next() - 0.5))));
  return {
    logProbs,
    reference: near(0.8),
    behaviour: near(1.2), // ratios on both sides of the usual clips
    entropies: draw(0.1, 2),
    exactKl: draw(0, 0.5),
    promptLogProbs: draw(-3, -0.1),
    values: draw(-1, 1),
    oldValues: draw(-1, 1),
    score: 4 * next() - 2,
    reward: next(), // also a preference: a number from 0 to 1
    truncated: next() < 0.25,
  };
};

const sequencesOf = { pair: 2, completion: 1, group: 4 } as const;

export const randomRows = ({ kind, seed, rows = 4, length }: RandomRows): Row[] => {
  const next = uniform(seed);
  return Array.from({ length: rows }, (_, r) => ({
    kind,
    sequences: Array.from({ length: sequencesOf[kind] }, (_unused, s) => ({
      ...randomSequence(next, length ?? 1 + Math.floor(5 * next())),
      // Of a sampled pair, one may be the reference's.
      ...(kind === 'pair' && s === r % 2 ? { fromReference: true } : {}),
    })),
    ...(kind === 'completion' ? { label: r % 3 !== 1 } : {}),
    ...(kind === 'pair' && r % 2 === 0 ? { margin: next() } : {}),
    mismatched: { policy: -5 * next(), reference: -5 * next() - 2 },
  }));
};

export const totalsOf = (rows: readonly Row[]): Totals => {
  const ofKind = (kind: RowKind): Row[] => rows.filter((row) => row.kind === kind);
  const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
  const weightOf = ({ weight = 1 }: Row): number => weight;
  const tokens = (list: readonly Row[], place?: number): number =>
    sum(
      list.flatMap((row) =>
        row.sequences
          .filter((_, s) => s === (place ?? s))
          .map(({ logProbs }) => weightOf(row) * logProbs.length),
      ),
    );
  return {
    pairs: sum(ofKind('pair').map(weightOf)),
    completions: ofKind('completion').length,
    groups: ofKind('group').length,
    samples: sum(ofKind('group').map(({ sequences }) => sequences.length)),
    chosenTokens: tokens(ofKind('pair'), 0),
    rejectedTokens: tokens(ofKind('pair'), 1),
    completionTokens: tokens(ofKind('completion')),
    sampleTokens: tokens(ofKind('group')),
    promptTokens: sum(
      rows.map((row) => weightOf(row) * (row.sequences[0]?.promptLogProbs?.length ?? 0)),
    ),
  };
};

const mapSequences = (rows: readonly Row[], change: (sequence: Sequence) => Sequence): Row[] =>
  rows.map((row) => ({ ...row, sequences: row.sequences.map(change) }));

const arraysAs =
  (convert: (values: readonly number[]) => Float32Array) =>
  (sequence: Sequence): Sequence =>
    Object.fromEntries(
      Object.entries(sequence).map(([name, value]: [string, unknown]) => [
        name,
        ArrayBuffer.isView(value) ? convert(Array.from(value as Float32Array)) : value,
      ]),
    ) as unknown as Sequence;

const unlabelled = ({ reward: _, ...sequence }: Sequence): Sequence => sequence;

/** Rows of each kind that an objective takes, before it prepared them. */
export const freshRows = (objective: Objective, seed: number, rows = 4): Row[] => {
  const all = objective.rows.flatMap((kind, k) => randomRows({ kind, seed: seed + 100 * k, rows }));
  // Where pairs of a dataset come with samples, no judge has seen those.
  return objective.rows.length > 1 ? mapSequences(all, unlabelled) : all;
};

/** `freshRows`, prepared; in double, or in float32 as the engine gives them. */
export const rowsFor = (
  objective: Objective,
  seed: number,
  { rows = 4, double = true }: { rows?: number; double?: boolean } = {},
): Row[] => {
  const fresh = freshRows(objective, seed, rows);
  const prepared = objective.prepare?.(fresh) ?? fresh;
  return mapSequences(prepared, arraysAs(double ? doubles : (values) => Float32Array.from(values)));
};

export const evaluateAll = (objective: Objective, rows: readonly Row[]): Evaluation =>
  objective.evaluate(rows, totalsOf(rows));

/** Single rows, each evaluated as a part of the whole. */
export const evaluateApart = (objective: Objective, rows: readonly Row[]): Evaluation[] => {
  const totals = totalsOf(rows);
  return rows.map((row) => objective.evaluate([row], totals));
};

export type Input = keyof SequenceGradient;
export const inputs: readonly Input[] = [
  'logProbs',
  'entropies',
  'promptLogProbs',
  'values',
  'score',
];

const moved = (row: Row, s: number, input: Input, at: number, step: number): Row => {
  const sequences = row.sequences.map((sequence, index) => {
    if (index !== s) return sequence;
    const old = sequence[input]!;
    if (typeof old === 'number') return { ...sequence, [input]: old + step };
    const values = Array.from(old);
    values[at]! += step;
    return { ...sequence, [input]: doubles(values) };
  });
  return { ...row, sequences };
};

export interface Place {
  readonly row: number;
  readonly sequence: number;
  readonly input: Input;
  readonly at: number;
}

/** Every number of the rows that a loss may depend on. */
export const places = (rows: readonly Row[]): Place[] =>
  rows.flatMap((row, r) =>
    row.sequences.flatMap((sequence, s) =>
      inputs.flatMap((input) => {
        const value = sequence[input];
        const count = typeof value === 'number' ? 1 : (value?.length ?? 0);
        return Array.from({ length: count }, (_, at) => ({ row: r, sequence: s, input, at }));
      }),
    ),
  );

export const gradientAt = ({ gradients }: Evaluation, { row, sequence, input, at }: Place) => {
  const gradient = gradients[row]![sequence]![input];
  return typeof gradient === 'number' ? gradient : (gradient?.[at] ?? 0);
};

/** Central difference of the loss by one number of the rows. */
export const numericalGradient = (
  objective: Objective,
  rows: readonly Row[],
  { row, sequence, input, at }: Place,
  step = 1e-5,
): number => {
  const totals = totalsOf(rows);
  const lossAt = (by: number): number =>
    objective.evaluate(
      rows.map((one, r) => (r === row ? moved(one, sequence, input, at, by) : one)),
      totals,
    ).loss;
  return (lossAt(step) - lossAt(-step)) / (2 * step);
};

/** Values that an option could have instead of its default: other choices, the other truth, more and less. */
export const otherValues = (entry: ObjectiveEntry, option: string): unknown[] => {
  const spec = entry.options[option]!;
  if (spec.choices) return spec.choices.filter((choice) => choice !== spec.default);
  if (spec.type === 'boolean') return [!spec.default];
  if (spec.type === 'string') return [];
  const value = Number(spec.default ?? 0);
  const candidates = [value * 1.5 + 0.13, value / 2, value + 1].filter(
    (candidate) =>
      candidate !== spec.default &&
      candidate > (spec.min ?? -Infinity) &&
      candidate < (spec.max ?? Infinity),
  );
  return candidates.slice(0, 2);
};
