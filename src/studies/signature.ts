// Signatures: the inequalities by which a paper's findings are recognised, with what was measured.
import type { Interval } from '../evaluation/statistics.js';
import type { Verdict } from '../report/report.js';

export interface Bound {
  readonly side: 'above' | 'below';
  readonly at: number;
}

export interface Signature {
  readonly id: string;
  /** The inequality, in words. */
  readonly claim: string;
  /** Figure or section of the paper. */
  readonly paper: string;
  readonly verdict: Verdict;
  /** The quantity that decides; null where nothing was measured. */
  readonly value: number | null;
  /** 95 %; null where the value is exact, or no interval can be given. */
  readonly interval: Interval | null;
  /** The value lies on this side of the bound where the signature holds. */
  readonly bound: Bound | null;
  /** Numbers behind the value, and reservations. */
  readonly note: string;
}

const sided = (value: number, { side, at }: Bound): boolean =>
  side === 'above' ? value >= at : value <= at;

/** Whether the value, whatever its interval, satisfies the inequality; null where there is none. */
export const isMet = ({ value, bound }: Pick<Signature, 'value' | 'bound'>): boolean | null =>
  value === null || bound === null ? null : sided(value, bound);

/**
 * holds: the value and its whole interval lie on the right side of the bound (the bound included).
 * does not hold: the whole interval lies on the wrong side. undetermined: the interval covers it.
 */
export const verdictOf = (value: number, interval: Interval | null, bound: Bound): Verdict => {
  const right = [value, ...(interval ?? [])].map((edge) => sided(edge, bound));
  if (right.every(Boolean)) return 'holds';
  const edges = interval ? right.slice(1) : right;
  return edges.some(Boolean) ? 'undetermined' : 'does not hold';
};

export const above = (at: number): Bound => ({ side: 'above', at });
export const below = (at: number): Bound => ({ side: 'below', at });

/** What a signature says, without what was found. */
export type Claim = Pick<Signature, 'id' | 'claim' | 'paper'>;

export const measuredSignature = (
  { id, claim, paper }: Claim,
  { value, interval }: { readonly value: number; readonly interval: Interval | null },
  bound: Bound,
  note: string,
): Signature => {
  const verdict = verdictOf(value, interval, bound);
  return { id, claim, paper, verdict, value, interval, bound, note };
};

/** Those of the ids that do not hold. */
export const failing = (signatures: readonly Signature[], ids: readonly string[]): string[] =>
  ids.filter((id) => signatures.find((signature) => signature.id === id)?.verdict !== 'holds');

export const notTested = (id: string, claim: string, paper: string, note: string): Signature => ({
  id,
  claim,
  paper,
  verdict: 'not tested',
  value: null,
  interval: null,
  bound: null,
  note,
});
