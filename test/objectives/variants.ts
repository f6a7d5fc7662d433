// Every objective of the list with every option, for tests that hold for all of them.
import type { ExecutionContext } from 'ava';
import { AlignlabError } from '../../src/errors.js';
import { objectives } from '../../src/objectives/index.js';
import type { Evaluation, Objective, ObjectiveEntry, Row } from '../../src/objectives/objective.js';
import { evaluateAll, otherValues, rowsFor } from './helpers.js';
import { assertNear } from './near.js';

export interface Variant {
  readonly entry: ObjectiveEntry;
  readonly option?: string;
  readonly given: Record<string, unknown>;
}

/** Each objective with its defaults, and with each option set to other values. */
export const variants: readonly Variant[] = objectives.flatMap((entry) => [
  { entry, given: {} },
  ...Object.keys(entry.options).flatMap((option) =>
    otherValues(entry, option).map((value) => ({ entry, option, given: { [option]: value } })),
  ),
]);

export const titleOf = ({ entry, given }: Variant): string =>
  `${entry.name} ${JSON.stringify(given)}`;

export const isRefusal = (cause: unknown): boolean =>
  cause instanceof AlignlabError && cause.code === 'OPTION_INVALID';

/** The objective with rows that it takes, or null where this value is refused without others. */
export const build = (
  { entry, given }: Variant,
  seed: number,
): { objective: Objective; rows: Row[] } | null => {
  try {
    const objective = entry.make(given);
    const rows = rowsFor(objective, seed);
    evaluateAll(objective, rows);
    return { objective, rows };
  } catch (cause) {
    if (isRefusal(cause)) return null;
    throw cause;
  }
};

export const numbersOf = ({ loss, gradients }: Evaluation): number[] => [
  loss,
  ...gradients
    .flat()
    .flatMap((gradient) =>
      Object.values(gradient).flatMap((values: number | Float32Array) =>
        typeof values === 'number' ? [values] : Array.from(values),
      ),
    ),
];

/** `tolerance` is relative to the largest number. */
export const assertClose = (
  t: ExecutionContext,
  actual: readonly number[],
  expected: readonly number[],
  tolerance: number,
): void => {
  const scale = Math.max(1e-3, ...expected.map(Math.abs));
  assertNear(t, actual, expected, tolerance * scale, `at a scale of ${scale}`);
};
