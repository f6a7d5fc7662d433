// The signatures S1.1 to S1.16 by which the study's findings are recognised. Bounds are those of the
// reproduction's protocol, written down before the runs.
import { type Claim, type Signature, notTested } from '../signature.js';

const claims: readonly Claim[] = [
  { id: 'S1.1', claim: 'the peak of online lies above that of offline', paper: 'figure 1' },
  { id: 'S1.2', claim: 'online is at or above offline at equal KL', paper: 'figure 1' },
  { id: 'S1.3', claim: 'in-order replay gives the online policy bit for bit', paper: 'appendix F' },
  { id: 'S1.4', claim: 'the shuffled stream loses half of the gap', paper: 'figure 4' },
  { id: 'S1.5', claim: 'win rate falls with the window of shuffling', paper: 'figure 13' },
  { id: 'S1.6', claim: 'runs fall from their best checkpoint to the last', paper: 'figure 1' },
  { id: 'S1.7', claim: 'data of the final online policy help little', paper: 'figure 5' },
  { id: 'S1.8', claim: 'offline policies classify better than online ones', paper: 'figure 6' },
  { id: 'S1.9', claim: 'the likelihood of better responses falls', paper: 'figure 8' },
  { id: 'S1.10', claim: 'the proxy decays along the online stream', paper: 'figure 6' },
  { id: 'S1.11', claim: 'accuracy does not predict win rate', paper: 'figure 7' },
  { id: 'S1.12', claim: 'the gap persists with best-of-2', paper: 'figure 9' },
  { id: 'S1.13', claim: 'the gap stays at every size of the policy', paper: 'figures 10, 11, 14' },
  { id: 'S1.14', claim: 'data with one side from SFT are better', paper: 'figure 12' },
  { id: 'S1.15', claim: 'no policy can classify its own samples', paper: 'appendix E.1' },
  { id: 'S1.16', claim: 'a larger proxy raises the online peak', paper: 'section 5.5' },
];

/** 'S1.8' of 'S1.8a'. */
const family = (id: string): string => id.replace(/[a-z]+$/, '');

/** The found ones in the order of the list, those that nothing was found of as not tested, others. */
export const allSignatures = (found: readonly Signature[]): Signature[] => {
  const own = claims.flatMap(({ id, claim, paper }) => {
    const known = found.filter((signature) => family(signature.id) === id);
    if (known.length === 0) return [notTested(id, claim, paper, 'not part of this run')];
    return known.sort((a, b) => a.id.localeCompare(b.id));
  });
  return [...own, ...found.filter((signature) => !own.includes(signature))];
};
