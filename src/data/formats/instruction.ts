// Rows in Alpaca's form: an instruction and an input, which make the prompt together.
import { dataError } from '../row.js';
import { has, isFilled, labelAt, optionalTextAt, textAt } from './fields.js';
import type { Format, FormatRow } from './format.js';

/** Instruction and input on lines of their own, the input only where there is one. */
export const instructionText = (row: FormatRow): string => {
  const extra = ['system', 'history'].find((key) => isFilled(row.value[key]));
  if (extra !== undefined) {
    throw dataError(
      row.place,
      `"${extra}" is filled in, which the alpaca form cannot express as one prompt`,
      'Write the row with messages instead.',
    );
  }
  const parts = [textAt(row, 'instruction'), optionalTextAt(row, 'input')];
  return parts.filter((part) => part !== '').join('\n');
};

export const alpaca: Format = {
  name: 'alpaca',
  kind: 'completion',
  about: 'instruction, input, output',
  matches: (value) => has(value, 'instruction', 'output'),
  parse: (row) => {
    const completion = textAt(row, 'output');
    return { drafts: [{ kind: 'completion', prompt: instructionText(row), completion }] };
  },
};

export const labelKey = (value: FormatRow['value']): 'label' | 'kto_tag' =>
  has(value, 'kto_tag') ? 'kto_tag' : 'label';

export const alpacaUnpaired: Format = {
  name: 'alpaca-unpaired',
  kind: 'unpaired',
  about: 'instruction, input, output, label or kto_tag (LLaMA-Factory)',
  matches: (value) => alpaca.matches(value) && (has(value, 'label') || has(value, 'kto_tag')),
  parse: (row) => ({
    drafts: [
      {
        kind: 'unpaired',
        prompt: instructionText(row),
        completion: textAt(row, 'output'),
        label: labelAt(row, labelKey(row.value)),
      },
    ],
  }),
};
