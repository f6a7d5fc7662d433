// Comparison of arrays of numbers within an absolute tolerance.
import type { ExecutionContext } from 'ava';

export const assertNear = (
  t: ExecutionContext,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
): void => {
  t.is(actual.length, expected.length);
  Array.from(expected).forEach((value, i) => {
    const found = actual[i]!;
    t.true(Math.abs(found - value) <= tolerance, `[${i}] is ${found}, not ${value}`);
  });
};
