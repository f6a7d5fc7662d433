// What must hold before the first step of a run, checked in every run: a reference that is a copy of
// the policy agrees with it, samples of the policy have ratio 1, and the loss is the one that
// follows from both.
import { AlignlabError } from '../errors.js';
import type { Objective, Row } from '../objectives/objective.js';
import type { Experience } from './rows.js';

export interface Expectations {
  /** The policy starts as a copy of the reference. */
  readonly reference: boolean;
  /** The first batch was drawn from the policy as it is now. */
  readonly onPolicy: boolean;
  /** The policy samples, scores and trains with the same bits. */
  readonly exact: boolean;
  /** Log-probabilities of policy and reference are of one precision, and so equal bit for bit. */
  readonly sameDtype: boolean;
}

// The same kernels on the same weights give the same bits; what is allowed is the f32 rounding of
// values that came through a file. In another precision, or summed in another order on a device that
// is not exact, a bf16 log-probability differs by percents.
const tolerance = (same: boolean): number => (same ? 1e-5 : 0.25);

const broken = (message: string): never => {
  throw new AlignlabError('INVARIANT_BROKEN', message);
};

type Other = 'reference' | 'behaviour';

const worst = (row: Row, other: Other): { readonly difference: number; readonly own: number } => {
  let difference = 0;
  let own = 0;
  for (const sequence of row.sequences) {
    sequence.logProbs.forEach((logProb, t) => {
      const d = Math.abs(logProb - (sequence[other]?.[t] ?? logProb));
      if (d > difference) [difference, own] = [d, logProb];
    });
  }
  return { difference, own };
};

const compare = (
  rows: readonly Row[],
  experiences: readonly Experience[],
  other: Other,
  limit: number,
  explain: string,
): void => {
  rows.forEach((row, i) => {
    const { difference, own } = worst(row, other);
    if (difference <= limit) return;
    const origin = experiences[i]?.example.origin ?? '';
    broken(
      `Before the first step the policy gives a token of ${origin} log-probability ` +
        `${own.toFixed(5)}, ${difference.toPrecision(3)} away from its ${other} value. ${explain}`,
    );
  });
};

/** Throws INVARIANT_BROKEN. `loss` and `rows` are of the first step, before it is made. */
export const checkStart = (
  objective: Objective,
  experiences: readonly Experience[],
  { loss, rows }: { readonly loss: number; readonly rows: readonly Row[] },
  { reference, onPolicy, exact, sameDtype }: Expectations,
): void => {
  const sameBits = exact && sameDtype;
  if (reference && objective.needs.reference) {
    compare(
      rows,
      experiences,
      'reference',
      tolerance(sameBits),
      'The reference is not the model that training starts from. If that is meant, pass ' +
        'startsFromReference: false; else load both from the same folder.',
    );
  }
  if (onPolicy) {
    compare(
      rows,
      experiences,
      'behaviour',
      tolerance(exact),
      'The samples were not drawn from the policy as it is. If they come from another model, pass ' +
        'startsOnPolicy: false.',
    );
  }
  const expected = objective.lossAtStart?.();
  const known = expected !== undefined && reference && sameBits && (onPolicy || !objective.prepare);
  // The objective's own sums over rows, in f64 of f32 values.
  if (!known || Math.abs(loss - expected) <= 1e-5 * Math.max(1, Math.abs(expected))) return;
  broken(
    `The loss of ${objective.name} must be ${expected} while the policy equals the reference, and ` +
      `is ${loss}. Its gradients would be wrong as well: the objective has a bug.`,
  );
};
