// Comparing and combining arrays of numbers.
import type { ExecutionContext } from 'ava';
import type { Tensors } from './models.js';

const bitsOf = (x: Float32Array): Uint32Array => new Uint32Array(x.buffer, x.byteOffset, x.length);

/** Equal in every bit: tells 0 from -0, which deepEqual of typed arrays would not show well. */
export const assertBitEqual = (
  t: ExecutionContext,
  actual: Float32Array,
  expected: Float32Array,
  what: string,
): void => {
  t.is(actual.length, expected.length, `${what}: length`);
  const [a, b] = [bitsOf(actual), bitsOf(expected)];
  const at = a.findIndex((bits, i) => bits !== b[i]);
  if (at < 0) return;
  t.fail(`${what}: element ${at} of ${a.length} is ${actual[at]}, expected ${expected[at]}`);
};

export const assertTensorsBitEqual = (
  t: ExecutionContext,
  actual: Tensors,
  expected: Tensors,
): void => {
  t.deepEqual([...actual.keys()], [...expected.keys()]);
  for (const [name, values] of expected) assertBitEqual(t, actual.get(name)!, values, name);
};

export const dot = (a: Float32Array, b: Float32Array): number =>
  a.reduce((sum, x, i) => sum + x * b[i]!, 0);

export const norm = (x: Float32Array): number => Math.sqrt(dot(x, x));

/** Euclidean norm of the difference over that of the second; infinite where one is NaN. */
export const relativeError = (a: Float32Array, b: Float32Array): number => {
  const difference = norm(a.map((x, i) => x - b[i]!));
  if (Number.isNaN(difference)) return Infinity;
  return difference === 0 ? 0 : difference / norm(b);
};

/** The largest relative error of a tensor, and which it is. */
export const worstTensor = (a: Tensors, b: Tensors): { error: number; name: string } => {
  let worst = { error: 0, name: '' };
  for (const [name, values] of b) {
    const error = relativeError(a.get(name)!, values);
    if (error > worst.error) worst = { error, name };
  }
  return worst;
};
