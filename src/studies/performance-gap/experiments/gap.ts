// Signatures on the gap between two clouds, of figures 1, 4 and 9.
import {
  type Claim,
  type Signature,
  above,
  measuredSignature,
  verdictOf,
} from '../../signature.js';
import { ofPeaks } from '../peaks.js';
import { type Cloud, type Regime, delta, peakText } from './baseline-arms.js';

type Pair = Pick<Regime<Cloud>, 'online' | 'offline'>;

/** The peak of the first cloud above that of the second by delta. */
export const gapSignature = (
  claim: Claim,
  clouds: readonly [Cloud, Cloud],
  note: string,
): Signature => {
  const measured = ofPeaks(clouds, ([a, b]) => a! - b!);
  // The effect must be delta; the interval must exclude 0.
  const verdict =
    measured.value >= delta ? verdictOf(measured.value, measured.interval, above(0)) : null;
  return {
    ...claim,
    verdict: verdict ?? (measured.interval[1] < delta ? 'does not hold' : 'undetermined'),
    ...measured,
    bound: above(delta),
    note,
  };
};

export const peakGap = (
  id: 'S1.1' | 'S1.1b',
  { online, offline }: Pair,
  note: string,
): Signature => {
  const claim = {
    id,
    claim: `peak win rate: online at least ${delta} above offline, and the interval excludes 0`,
    paper: 'figure 1',
  };
  const peaks = `online ${peakText(online)}, offline ${peakText(offline)} (pooled)`;
  return gapSignature(claim, [online, offline], peaks + note);
};

export const shuffledGap = (
  id: 'S1.4' | 'S1.4b',
  { online, offline, shuffled }: Regime<Cloud>,
  beta: number,
): Signature => {
  const measured = ofPeaks([online, offline, shuffled], ([a, b, c]) => a! - c! - (a! - b!) / 2);
  return measuredSignature(
    {
      id,
      claim:
        'shuffling the online stream loses at least half of the gap between online and offline ' +
        `(beta ${beta})`,
      paper: 'figure 4',
    },
    measured,
    above(0),
    `peaks: online ${peakText(online)}, shuffled ${peakText(shuffled)}, offline ` +
      `${peakText(offline)}; the value is (online - shuffled) - (online - offline) / 2`,
  );
};
