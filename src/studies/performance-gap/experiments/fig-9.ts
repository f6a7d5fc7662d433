// Figure 9: best-of-2, a loss that contrasts nothing, in place of IPO (section 5.4).
import { compareFrontiers } from '../../../evaluation/frontier.js';
import { mean } from '../../../evaluation/statistics.js';
import type { Experiment } from '../../experiment.js';
import { type Signature, above, below, measuredSignature, notTested } from '../../signature.js';
import type { ArmRun } from '../arms.js';
import type { Lab } from '../lab.js';
import { ofEnvelopes, ofPeaks } from '../peaks.js';
import {
  type Cloud,
  type Regime,
  decimals,
  delta,
  frontierFigure,
  peakText,
  regimeArms,
  regimeClouds,
  singly,
} from './baseline-arms.js';
import { withInterval } from './data-helpers.js';

const paper = 'figure 9';

/** At budgets that are spread evenly in KL. */
const alikeSignature = ({ online, shuffled }: Regime<Cloud>): Signature => {
  const alike = {
    id: 'S1.12b',
    claim: 'best-of-2: shuffled within 0.05 of online on the common KL range',
    paper,
  };
  const { range } = compareFrontiers(online, shuffled);
  if (range === null) {
    return notTested(alike.id, alike.claim, paper, 'there is no common range of KL');
  }
  const [low, high] = range;
  const budgets = Array.from({ length: 101 }, (_, i) => low + ((high - low) * i) / 100);
  const largest = (gaps: readonly number[]): number => Math.max(...gaps.map(Math.abs));
  const clouds = [online, shuffled] as const;
  return measuredSignature(
    alike,
    ofEnvelopes(clouds, budgets, largest),
    below(0.05),
    `largest difference of envelopes up to ${decimals(high)} nats, of which resamples lie above ` +
      `the value; the mean one, online less shuffled, is ` +
      withInterval(ofEnvelopes(clouds, budgets, mean)),
  );
};

export const bestOf2Signatures = (clouds: Regime<Cloud>): Signature[] => {
  const { online, offline, shuffled } = clouds;
  return [
    measuredSignature(
      {
        id: 'S1.12a',
        claim: `best-of-2: the online peak at least ${delta} above the offline one`,
        paper,
      },
      ofPeaks([online, offline], ([a, b]) => a! - b!),
      above(delta),
      `online ${peakText(online)}, shuffled ${peakText(shuffled)}, offline ${peakText(offline)}`,
    ),
    alikeSignature(clouds),
  ];
};

export const figure9: Experiment<Lab, Regime<ArmRun>> = {
  id: 'fig-9',
  title: 'Best-of-2',
  includes: ({ recipe }) => recipe.bestOf2,
  run: (lab, seed) => regimeArms(lab, seed, { name: 'bo2' }),
  findings: async (lab, found) => {
    const clouds = await regimeClouds(lab, found.map(singly));
    const text = {
      name: 'fig-9-best-of-2',
      title: 'Best-of-2 instead of IPO',
      caption: 'Maximum likelihood of the better response, without a reference.',
      claim: 'The gap persists, and the shuffled stream matches the online arm.',
      signatures: ['S1.12a', 'S1.12b'],
    };
    return { signatures: bestOf2Signatures(clouds), figures: [await frontierFigure(text, clouds)] };
  },
};
