// Signatures as a table for a terminal.
import { type Signature, isMet } from '../../studies/signature.js';
import { table } from '../output.js';

const figure = (value: number | null): string => (value === null ? '-' : value.toFixed(3));

/** An open verdict with the side on which the value lies. */
const verdictText = (signature: Signature): string => {
  const { verdict } = signature;
  if (verdict !== 'undetermined') return verdict;
  return `${verdict}, ${isMet(signature) ? 'as' : 'not as'} expected`;
};

const row = (signature: Signature): string[] => {
  const { id, value, interval, claim } = signature;
  const ends = interval ? `${figure(interval[0])} to ${figure(interval[1])}` : '';
  return [id, verdictText(signature), figure(value), ends, claim];
};

/** Those that were tested, and the ids of the others. */
export const signatureTable = (signatures: readonly Signature[]): string => {
  const tested = signatures.filter(({ verdict }) => verdict !== 'not tested');
  const open = signatures.filter(({ verdict }) => verdict === 'not tested').map(({ id }) => id);
  return [
    table([['', 'verdict', 'value', '95 % interval', 'signature'], ...tested.map(row)]),
    '',
    ...(open.length > 0 ? [`not tested: ${open.join(', ')}`] : []),
  ].join('\n');
};
