// Figure 4: the online stream replayed in its order (appendix F) and shuffled (section 5.1).
import { fileHash } from '../../../data/content-hash.js';
import type { Experiment, Findings } from '../../experiment.js';
import { type Signature, above, measuredSignature } from '../../signature.js';
import type { ArmRun } from '../arms.js';
import type { Lab } from '../lab.js';
import { weightsPath } from '../materials.js';
import {
  type Regime,
  frontierFigure,
  offlineSweep,
  onlineArm,
  regimeArms,
  regimeClouds,
  shuffledSweep,
  singly,
  worldText,
} from './baseline-arms.js';
import { peakGap, shuffledGap } from './gap.js';

interface Found {
  readonly online: ArmRun;
  readonly tandem: ArmRun;
  readonly offline: readonly ArmRun[];
  readonly shuffled: readonly ArmRun[];
  readonly weak: Regime<ArmRun> | null;
}

const tandemSignature = async (seeds: readonly Found[]): Promise<Signature> => {
  let equal = 0;
  for (const { online, tandem } of seeds) {
    const weights = await Promise.all([online, tandem].map((run) => fileHash(weightsPath(run))));
    const sameLosses = online.result.losses.join() === tandem.result.losses.join();
    equal += Number(weights[0] === weights[1] && sameLosses);
  }
  return measuredSignature(
    {
      id: 'S1.3',
      claim: 'replaying the online stream in its order gives the same policy, bit for bit',
      paper: 'appendix F',
    },
    { value: equal / seeds.length, interval: null },
    above(1),
    `${equal} of ${seeds.length} pairs of runs have equal weights and equal losses at every step`,
  );
};

const weakFindings = async (lab: Lab, found: readonly Found[]): Promise<Findings> => {
  const { weakBeta } = lab.recipe;
  if (weakBeta === null) return { signatures: [], figures: [] };
  const clouds = await regimeClouds(
    lab,
    found.flatMap(({ weak }) => (weak ? [singly(weak)] : [])),
  );
  const note = `${worldText(lab)}; at beta ${weakBeta}, below the paper's`;
  return {
    signatures: [peakGap('S1.1b', clouds, note), shuffledGap('S1.4b', clouds, weakBeta)],
    figures: [
      await frontierFigure(
        {
          name: 'fig-4-weak-beta',
          title: `The same at a smaller beta (${weakBeta})`,
          caption: 'A weaker leash than any of the paper: policies go farther from the start.',
          signatures: ['S1.1b', 'S1.4b', 'S1.6a', 'S1.6b'],
        },
        clouds,
      ),
    ],
  };
};

export const figure4: Experiment<Lab, Found> = {
  id: 'fig-4',
  title: 'The online stream, in order and shuffled',
  includes: () => true,
  run: async (lab, seed) => {
    const { weakBeta } = lab.recipe;
    return {
      online: await onlineArm(lab, seed),
      tandem: await lab.arm({
        ...lab.baseline(seed),
        source: { kind: 'replay', order: 'recorded' },
      }),
      offline: await offlineSweep(lab, seed),
      shuffled: await shuffledSweep(lab, seed),
      weak: weakBeta === null ? null : await regimeArms(lab, seed, { name: 'ipo', beta: weakBeta }),
    };
  },
  findings: async (lab, found) => {
    const { beta } = lab.recipe.arm;
    const clouds = await regimeClouds(
      lab,
      found.map(({ online, offline, shuffled }) => ({ online: [online], offline, shuffled })),
    );
    const weak = await weakFindings(lab, found);
    const text = {
      name: 'fig-4-shuffled',
      title: `The online stream, shuffled (beta ${beta})`,
      caption:
        "Offline training on the online arm's own pairs in shuffled order. In their own order the " +
        'same pairs give the online policy again, bit for bit (S1.3), so that run needs no points.',
      claim: 'Shuffled online data are little better than D_golden: coverage is not the reason.',
      signatures: ['S1.3', 'S1.4'],
    };
    return {
      signatures: [
        await tandemSignature(found),
        shuffledGap('S1.4', clouds, beta),
        ...weak.signatures,
      ],
      figures: [await frontierFigure(text, clouds), ...weak.figures],
    };
  },
};
