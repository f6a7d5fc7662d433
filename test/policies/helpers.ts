// Small policies for the tests: of one token, of trees, of independent tokens, with and without
// prompts of their own.
import { random } from '../../src/data/random.js';
import {
  type EnumerablePolicy,
  ResponseSpace,
  logLinearPolicy,
  tabularPolicy,
} from '../../src/policies/index.js';

export const normals = (count: number, ...keys: (string | number)[]): number[] => {
  const stream = random(7, ...keys);
  return Array.from({ length: count }, () => stream.gaussian());
};

/** Token 0 ends a response; up to three tokens of 0, 1, 2. */
export const tree = (prompts?: readonly number[][]): ResponseSpace =>
  ResponseSpace.of(
    [[0], [1, 0], [1, 1, 0], [1, 1, 2], [1, 2], [2, 0], [2, 1, 1]],
    ...(prompts ? [prompts] : []),
  );

export const spaces: Readonly<Record<string, () => ResponseSpace>> = {
  'one token': () => ResponseSpace.of([[3], [1], [4], [15], [9]]),
  'a tree': () => tree(),
  'a tree, two prompts': () => tree([[5], [5, 6]]),
  'independent tokens': () =>
    ResponseSpace.product([
      [0, 1],
      [7, 8, 9],
      [2, 0],
    ]),
};

export const kinds = ['tabular', 'log-linear'] as const;

/** With base logits and features of its own, `spread` wide. */
export const policyOver = (
  space: ResponseSpace,
  kind: (typeof kinds)[number],
  { spread = 1, name = 'policy' } = {},
): EnumerablePolicy => {
  const count = space.edges * space.prompts.length;
  const base = normals(count, name).map((x) => spread * x);
  const logits = (prompt: number, edge: number): number => base[prompt * space.edges + edge]!;
  if (kind === 'tabular') return tabularPolicy({ space, logits });
  const features = Array.from({ length: count }, (_, i) => normals(3, 'features', i));
  return logLinearPolicy({
    space,
    logits,
    features: (prompt, edge) => features[prompt * space.edges + edge]!,
  });
};

/** Of a function of the policy, by its parameters; central differences, good to about 1e-9. */
export const numericalGradient = (
  policy: EnumerablePolicy,
  value: (policy: EnumerablePolicy) => number,
): Float64Array => {
  const step = 1e-5;
  const own = policy.parameters;
  const at = (index: number, by: number): number =>
    value(policy.withParameters(own.map((x, i) => (i === index ? x + by : x))));
  return own.map((_, i) => (at(i, step) - at(i, -step)) / (2 * step));
};

export const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!)));
