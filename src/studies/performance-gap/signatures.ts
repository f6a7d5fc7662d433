// The signatures S1.1 to S1.16 of the study, measured on its runs. Bounds are those of the
// reproduction's protocol, written down before the runs.
import { type Signature, notTested } from '../signature.js';
import { classifierSignatures } from './classifier-signatures.js';
import { dataSignatures } from './data-signatures.js';
import { gapSignatures } from './gap-signatures.js';
import type { Runs } from './run.js';

const later = [
  notTested('S1.5', 'win rate falls with the window of shuffling', 'figure 13', ''),
  notTested('S1.13', 'the gap stays at every size of the policy', 'figures 10, 11, 14', ''),
  notTested('S1.14', 'data with one side from SFT are better', 'figure 12', ''),
  notTested('S1.16', 'a larger proxy raises the online peak', 'section 5.5', ''),
].map((each) => ({ ...each, note: 'not part of this recipe' }));

const place = (id: string): number => Number(/\d+$/.exec(id.replace(/[a-z]$/, ''))![0]);

export const measureSignatures = async (runs: Runs): Promise<Signature[]> =>
  [
    ...(await gapSignatures(runs)),
    ...classifierSignatures(runs),
    ...dataSignatures(runs),
    ...later,
  ].sort((a, b) => place(a.id) - place(b.id) || a.id.localeCompare(b.id));
