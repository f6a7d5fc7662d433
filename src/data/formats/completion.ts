// Completions with and without a prompt or a label, and prompts alone.
import type { Message, Text } from '../../text/example.js';
import { dataError } from '../row.js';
import { has, labelAt, messagesAt, textAt, textOrMessagesAt } from './fields.js';
import type { Draft, Format, FormatRow } from './format.js';
import { labelKey } from './instruction.js';
import { harmonised } from './pairs.js';

const labelled = (value: FormatRow['value']): boolean =>
  has(value, 'label') || has(value, 'kto_tag');

const promptAndCompletion = (row: FormatRow): { prompt: Text; completion: Text } => {
  const texts = harmonised(textOrMessagesAt(row, 'prompt'), textOrMessagesAt(row, 'completion'));
  return { prompt: texts.prompt, completion: texts.response };
};

const messagesKey = (value: FormatRow['value']): 'messages' | 'conversations' =>
  has(value, 'conversations') && !has(value, 'messages') ? 'conversations' : 'messages';

const hasMessages = (value: FormatRow['value']): boolean =>
  Array.isArray(value.messages) || Array.isArray(value.conversations);

/** The assistant's last turn apart from what led to it. */
export const lastTurn = (
  place: string,
  turns: readonly Message[],
): { prompt: readonly Message[]; completion: readonly Message[] } => {
  const last = turns.at(-1);
  if (last?.role === 'assistant' && turns.length > 1) {
    return { prompt: turns.slice(0, -1), completion: [last] };
  }
  throw dataError(
    place,
    last?.role === 'assistant'
      ? 'the dialogue has a single turn, so that there is no prompt'
      : `the dialogue ends with a turn of "${last?.role ?? 'nobody'}", not of the assistant`,
    'Remove what follows the answer, or leave the row out.',
  );
};

export const unpaired: Format = {
  name: 'unpaired',
  kind: 'unpaired',
  about: 'prompt, completion, label (true or false)',
  matches: (value) => has(value, 'prompt', 'completion') && labelled(value),
  parse: (row) => ({
    drafts: [
      {
        kind: 'unpaired',
        ...promptAndCompletion(row),
        label: labelAt(row, labelKey(row.value)),
      },
    ],
  }),
};

export const unpairedMessages: Format = {
  name: 'unpaired-messages',
  kind: 'unpaired',
  about: "messages or conversations, label or kto_tag: the assistant's last turn is judged",
  matches: (value) => hasMessages(value) && labelled(value),
  parse: (row) => {
    const turns = lastTurn(row.place, messagesAt(row, messagesKey(row.value)));
    const label = labelAt(row, labelKey(row.value));
    return { drafts: [{ kind: 'unpaired', ...turns, label }] };
  },
};

export const promptCompletion: Format = {
  name: 'prompt-completion',
  kind: 'completion',
  about: 'prompt, completion',
  matches: (value) => has(value, 'prompt', 'completion'),
  parse: (row) => ({ drafts: [{ kind: 'completion', ...promptAndCompletion(row) }] }),
};

export const messages: Format = {
  name: 'messages',
  kind: 'text',
  about: 'messages [{role, content}] or conversations [{from, value}] (ShareGPT)',
  matches: hasMessages,
  parse: (row) => ({
    drafts: [{ kind: 'text', text: messagesAt(row, messagesKey(row.value)) }],
  }),
};

export const text: Format = {
  name: 'text',
  kind: 'text',
  about: 'text, or a completion without a prompt',
  matches: (value) => typeof value.text === 'string' || typeof value.completion === 'string',
  parse: (row) => ({
    drafts: [{ kind: 'text', text: textAt(row, has(row.value, 'text') ? 'text' : 'completion') }],
  }),
};

const promptDraft = (row: FormatRow, key: string): Draft => {
  const { [key]: _, ...columns } = row.value;
  return { kind: 'prompt', prompt: textOrMessagesAt(row, key), columns };
};

export const prompt: Format = {
  name: 'prompt',
  kind: 'prompt',
  about: 'prompt; other columns are kept for rule judges (also the rows of verl)',
  matches: (value) => has(value, 'prompt'),
  parse: (row) => ({ drafts: [promptDraft(row, 'prompt')] }),
};

export const contextMessages: Format = {
  name: 'context-messages',
  kind: 'prompt',
  about: 'context_messages; other columns are kept (OpenRLHF)',
  matches: (value) => Array.isArray(value.context_messages),
  parse: (row) => ({ drafts: [promptDraft(row, 'context_messages')] }),
};
