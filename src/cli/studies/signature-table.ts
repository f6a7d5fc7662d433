// Signatures as a table for a terminal.
import type { Signature } from '../../studies/signature.js';
import { table } from '../output.js';

const figure = (value: number | null): string => (value === null ? '-' : value.toFixed(3));

const row = ({ id, verdict, value, interval, claim }: Signature): string[] => [
  id,
  verdict,
  figure(value),
  interval ? `${figure(interval[0])} to ${figure(interval[1])}` : '',
  claim,
];

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
