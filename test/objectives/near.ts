// Comparison of arrays of numbers within an absolute tolerance.
import type { ExecutionContext } from 'ava';

export const assertNear = (
  t: ExecutionContext,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what = '',
): void => {
  t.is(actual.length, expected.length, what);
  Array.from(expected).forEach((value, i) => {
    const found = actual[i]!;
    t.true(Math.abs(found - value) <= tolerance, `${what}[${i}] is ${found}, not ${value}`);
  });
};
