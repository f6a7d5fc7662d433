// The signatures of the study: R of the runs that they were first seen in, S3 of the reproduction's
// protocol as corrected by those runs. Written down before the runs of this study.
import { type Claim, type Signature, notTested } from '../signature.js';

const claims: readonly Claim[] = [
  { id: 'R1', claim: 'joint noise: H2O returns more than SAC in the simulator', paper: 'returns' },
  { id: 'R2', claim: 'gravity: H2O returns more than SAC in the simulator', paper: 'returns' },
  { id: 'R3', claim: 'gravity: SAC returns more in the simulator than really', paper: 'premise' },
  { id: 'R4', claim: 'the mean of √w falls as the gap grows', paper: 'the dynamics ratio' },
  { id: 'R5', claim: 'no gap: H2O returns at least 0.8 of what SAC does', paper: 'a control' },
  { id: 'S3.1', claim: 'H2O is first in two thirds of the cells or more', paper: 'returns' },
  {
    id: 'S3.2',
    claim: 'gravity: SAC’s simulated return is 1.5 times the real one',
    paper: 'premise',
  },
  { id: 'S3.3', claim: 'û ranks with the true divergence', paper: 'the adaptive gap u' },
  { id: 'S3.4', claim: 'the penalty lowers Q where the gap is large', paper: 'the regulariser' },
  { id: 'S3.5', claim: 'no gap: weights near 1, returns of the mixture', paper: 'a control' },
  { id: 'S3.6', claim: 'H2O returns at least what its ablations do', paper: 'the ablations' },
  { id: 'S3.7', claim: 'H2O loses less than CQL by less data', paper: 'the size of the data' },
  { id: 'S3.8', claim: 'H2O stands and moves the wheel-legged robot', paper: 'the real robot' },
  {
    id: 'S3.9',
    claim: 'weights stay finite and fall as the gap grows',
    paper: 'the dynamics ratio',
  },
];

/** 'S3.8' of 'S3.8a'. */
const family = (id: string): string => id.replace(/[a-z]+$/, '');

/** The found ones in the order of the list, those that nothing was found of as not tested. */
export const allSignatures = (found: readonly Signature[]): Signature[] =>
  claims.flatMap(({ id, claim, paper }) => {
    const own = found.filter((signature) => family(signature.id) === id);
    if (own.length === 0) return [notTested(id, claim, paper, 'not part of this run')];
    return own.sort((a, b) => a.id.localeCompare(b.id));
  });
