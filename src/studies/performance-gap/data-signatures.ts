// Signatures of figures 5 and 9: data of the final online policy, and best-of-2.
import { compareFrontiers } from '../../evaluation/frontier.js';
import { type Signature, above, below, measuredSignature, notTested } from '../signature.js';
import { cloudsOf } from './clouds.js';
import { ofPeaks } from './peaks.js';
import type { Runs } from './run.js';

/** Smallest difference of win rates that counts. */
const delta = 0.03;

const figure = (value: number): string => value.toFixed(3);

const regenerated = (runs: Runs): Signature[] => {
  const { endVersusEnd, end, offline } = cloudsOf(runs);
  const paper = 'figure 5';
  const worse = {
    id: 'S1.7a',
    claim: `offline on data of the final online policy stays ${delta} below that policy`,
    paper,
  };
  const noBetter = {
    id: 'S1.7b',
    claim: `… and is at most ${delta} better than offline on D_golden`,
    paper,
  };
  if (endVersusEnd.length === 0) {
    const note = 'not part of this recipe';
    return [worse, noBetter].map(({ id, claim }) => notTested(id, claim, paper, note));
  }
  const peak = figure(ofPeaks([endVersusEnd], ([value]) => value!).value);
  const source = figure(ofPeaks([end], ([value]) => value!).value);
  return [
    measuredSignature(
      worse,
      ofPeaks([endVersusEnd, end], ([a, b]) => a! - b!),
      below(-delta),
      `peak ${peak}; the policy that wrote the data ${source}`,
    ),
    measuredSignature(
      noBetter,
      ofPeaks([endVersusEnd, offline], ([a, b]) => a! - b!),
      below(delta),
      `peak ${peak}, against the whole offline sweep`,
    ),
  ];
};

const bestOf2 = (runs: Runs): Signature[] => {
  const { online, offline, shuffled } = cloudsOf(runs).bestOf2;
  const paper = 'figure 9';
  const better = {
    id: 'S1.12a',
    claim: `best-of-2: the online peak at least ${delta} above the offline one`,
    paper,
  };
  const alike = {
    id: 'S1.12b',
    claim: 'best-of-2: shuffled within 0.05 of online on the common KL range',
    paper,
  };
  if (online.length === 0) {
    const note = 'not part of this recipe';
    return [better, alike].map(({ id, claim }) => notTested(id, claim, paper, note));
  }
  const peak = (cloud: typeof online): string =>
    figure(ofPeaks([cloud], ([value]) => value!).value);
  const { range, largestGap, meanGap } = compareFrontiers(online, shuffled);
  return [
    measuredSignature(
      better,
      ofPeaks([online, offline], ([a, b]) => a! - b!),
      above(delta),
      `online ${peak(online)}, shuffled ${peak(shuffled)}, offline ${peak(offline)}`,
    ),
    range === null || largestGap === null || meanGap === null
      ? notTested(alike.id, alike.claim, paper, 'there is no common range of KL')
      : measuredSignature(
          alike,
          { value: Math.abs(largestGap), interval: null },
          below(0.05),
          `largest difference of envelopes up to ${figure(range[1])} nats; the mean one, online ` +
            `less shuffled, is ${figure(meanGap)}`,
        ),
  ];
};

export const dataSignatures = (runs: Runs): Signature[] => [...regenerated(runs), ...bestOf2(runs)];
