// Preferences: a chosen and a rejected response, with the prompt in a column or within both texts.
import { isObject } from '../../checkpoint/json.js';
import { dataError } from '../row.js';
import { instructionText } from './instruction.js';
import { has, messagesAt, numberAt, textAt, textOrMessagesAt } from './fields.js';
import type { Draft, Format, FormatRow } from './format.js';
import {
  explicitPair,
  hasMarkers,
  splitAtDifference,
  splitAtMarker,
  splitDialogues,
} from './pairs.js';

type Pair = Extract<Draft, { kind: 'preference' }>;

const isConversation = (value: unknown): boolean => isObject(value) || Array.isArray(value);

const withMargin = (row: FormatRow, pair: Pair): { drafts: readonly Draft[] } => {
  const given = row.value.margin;
  if (given === undefined || given === null || given === '') return { drafts: [pair] };
  return { drafts: [{ ...pair, margin: numberAt(row, 'margin') }] };
};

export const preference: Format = {
  name: 'preference',
  kind: 'preference',
  about:
    'prompt, chosen, rejected (margin): texts or messages; chosen and rejected may be whole ' +
    'dialogues, as in ultrafeedback_binarized',
  matches: (value) => has(value, 'prompt', 'chosen', 'rejected'),
  parse: (row) => {
    const [prompt, chosen, rejected] = ['prompt', 'chosen', 'rejected'].map((key) =>
      textOrMessagesAt(row, key),
    );
    return withMargin(row, explicitPair(row.place, prompt!, chosen!, rejected!));
  },
};

export const sharegptPreference: Format = {
  name: 'sharegpt-preference',
  kind: 'preference',
  about: 'conversations, chosen {from, value}, rejected {from, value} (LLaMA-Factory)',
  matches: (value) =>
    has(value, 'chosen', 'rejected', 'conversations') && isConversation(value.chosen),
  parse: (row) => {
    const prompt = messagesAt(row, 'conversations');
    const [chosen, rejected] = [messagesAt(row, 'chosen'), messagesAt(row, 'rejected')];
    return withMargin(row, { kind: 'preference', prompt, chosen, rejected });
  },
};

export const alpacaPreference: Format = {
  name: 'alpaca-preference',
  kind: 'preference',
  about: 'instruction, input, chosen, rejected (LLaMA-Factory, alpaca form)',
  matches: (value) => has(value, 'instruction', 'chosen', 'rejected'),
  parse: (row) =>
    withMargin(row, {
      kind: 'preference',
      prompt: instructionText(row),
      chosen: textAt(row, 'chosen'),
      rejected: textAt(row, 'rejected'),
    }),
};

export const hhRlhf: Format = {
  name: 'hh-rlhf',
  kind: 'preference',
  about: 'chosen, rejected: whole texts with "\\n\\nHuman:" and "\\n\\nAssistant:" (Anthropic)',
  matches: ({ chosen, rejected }) => hasMarkers(chosen) && hasMarkers(rejected),
  parse: (row) =>
    withMargin(row, splitAtMarker(row.place, textAt(row, 'chosen'), textAt(row, 'rejected'))),
};

export const implicitPreference: Format = {
  name: 'implicit-preference',
  kind: 'preference',
  about:
    'chosen, rejected with the prompt in both: their longest common start is the prompt, by turns ' +
    'for messages, by characters for texts (found for messages, to be named for texts)',
  matches: ({ chosen, rejected }) => Array.isArray(chosen) && Array.isArray(rejected),
  parse: (row) => {
    const [chosen, rejected] = [textOrMessagesAt(row, 'chosen'), textOrMessagesAt(row, 'rejected')];
    if (typeof chosen === 'string' && typeof rejected === 'string') {
      return withMargin(row, splitAtDifference(row.place, chosen, rejected));
    }
    if (typeof chosen !== 'string' && typeof rejected !== 'string') {
      return withMargin(row, splitDialogues(row.place, chosen, rejected));
    }
    const found = 'one of "chosen" and "rejected" is text and the other is messages';
    throw dataError(row.place, found, 'Write both in the same way.');
  },
};
