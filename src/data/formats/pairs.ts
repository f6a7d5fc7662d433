// Dividing two whole texts, or two whole dialogues, into the prompt that they share and the two
// responses; and making prompt and responses agree in being text or turns.
import type { Message, Text } from '../../text/example.js';
import { dataError } from '../row.js';
import type { Draft } from './format.js';

type Pair = Extract<Draft, { kind: 'preference' }>;

const same = (a: Message, b: Message): boolean => a.role === b.role && a.content === b.content;

const commonTurns = (a: readonly Message[], b: readonly Message[]): number => {
  let count = 0;
  while (count < a.length && count < b.length && same(a[count]!, b[count]!)) ++count;
  return count;
};

const onlyTurns =
  "Give the prompt in a column of its own, or leave such rows out (onBadRow: 'skip').";

/**
 * The longest common prefix by turns; never the last turn, so that equal dialogues keep a response.
 * The responses must start with the assistant.
 */
export const splitDialogues = (
  place: string,
  chosen: readonly Message[],
  rejected: readonly Message[],
): Pair => {
  const most = Math.min(chosen.length, rejected.length) - 1;
  const count = Math.min(commonTurns(chosen, rejected), most);
  if (count < 1) {
    throw dataError(place, '"chosen" and "rejected" do not start with the same turn', onlyTurns);
  }
  for (const turns of [chosen, rejected]) {
    const { role } = turns[count]!;
    if (role === 'assistant') continue;
    const found = `"chosen" and "rejected" part at turn ${count + 1}, which is the ${role}'s`;
    throw dataError(place, found, onlyTurns);
  }
  const [prompt, ...responses] = [
    chosen.slice(0, count),
    chosen.slice(count),
    rejected.slice(count),
  ];
  return { kind: 'preference', prompt, chosen: responses[0], rejected: responses[1] };
};

/** Where two texts part, in UTF-16 units, never within a surrogate pair. */
const commonLength = (a: string, b: string): number => {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) ++length;
  const last = a.charCodeAt(length - 1);
  return last >= 0xd800 && last < 0xdc00 ? length - 1 : length;
};

const cut = (chosen: string, rejected: string, at: number): Pair => ({
  kind: 'preference',
  prompt: chosen.slice(0, at),
  chosen: chosen.slice(at),
  rejected: rejected.slice(at),
});

export const answerMarker = '\n\nAssistant:';

export const hasMarkers = (text: unknown): text is string =>
  typeof text === 'string' && text.includes('\n\nHuman:') && text.includes(answerMarker);

/**
 * hh-rlhf's texts: the prompt ends with the last "\n\nAssistant:" that both have in common. The
 * responses keep the space that follows it.
 */
export const splitAtMarker = (place: string, chosen: string, rejected: string): Pair => {
  const common = chosen.slice(0, commonLength(chosen, rejected));
  const marker = common.lastIndexOf(answerMarker);
  if (marker >= 0) return cut(chosen, rejected, marker + answerMarker.length);
  throw dataError(
    place,
    '"chosen" and "rejected" have no common start that ends in "\\n\\nAssistant:"',
    onlyTurns,
  );
};

/**
 * The longest common prefix by characters, less a space at its end, which goes to the responses, as
 * in TRL's extract_prompt. Answers that start alike lose their start to the prompt: that is why
 * this has to be asked for by name. Unlike TRL, a text that is the start of the other is refused.
 */
export const splitAtDifference = (place: string, chosen: string, rejected: string): Pair => {
  const common = commonLength(chosen, rejected);
  const at = chosen[common - 1] === ' ' ? common - 1 : common;
  if (common < chosen.length && common < rejected.length && at > 0) {
    return cut(chosen, rejected, at);
  }
  const found =
    at === 0
      ? '"chosen" and "rejected" have no common start'
      : 'one of "chosen" and "rejected" is the start of the other, so that no response is left';
  throw dataError(place, found, onlyTurns);
};

const isText = (text: Text): text is string => typeof text === 'string';

/** Text as the one turn that it is. */
export const asTurns = (text: Text, role: 'user' | 'assistant'): readonly Message[] =>
  isText(text) ? [{ role, content: text }] : text;

const speech = /\n\n(Human|Assistant):/g;

/** Turns of a text with "\n\nHuman:" and "\n\nAssistant:", less the space around each. */
const markedTurns = (text: string): Message[] => {
  const marks = [...text.matchAll(speech)];
  return marks.map((mark, i) => ({
    role: mark[1] === 'Human' ? 'user' : 'assistant',
    content: text.slice(mark.index + mark[0].length, marks[i + 1]?.index).trim(),
  }));
};

const marked = (prompt: string): boolean =>
  prompt.startsWith('\n\nHuman:') && prompt.endsWith(answerMarker);

const promptTurns = (prompt: Text): readonly Message[] =>
  isText(prompt) && marked(prompt)
    ? markedTurns(prompt.slice(0, -answerMarker.length))
    : asTurns(prompt, 'user');

const responseTurns = (prompt: Text, response: Text): readonly Message[] =>
  isText(prompt) && isText(response) && marked(prompt)
    ? markedTurns(answerMarker + response)
    : asTurns(response, 'assistant');

/** Plain texts made into turns of user and assistant. */
export const conversational = (draft: Draft): Draft => {
  switch (draft.kind) {
    case 'text':
      return { ...draft, text: asTurns(draft.text, 'assistant') };
    case 'prompt':
      return { ...draft, prompt: promptTurns(draft.prompt) };
    case 'preference':
      return {
        ...draft,
        prompt: promptTurns(draft.prompt),
        chosen: responseTurns(draft.prompt, draft.chosen),
        rejected: responseTurns(draft.prompt, draft.rejected),
      };
    default:
      return {
        ...draft,
        prompt: promptTurns(draft.prompt),
        completion: responseTurns(draft.prompt, draft.completion),
      };
  }
};

const startsWith = (turns: readonly Message[], prefix: readonly Message[]): boolean =>
  turns.length > prefix.length && prefix.every((turn, i) => same(turn, turns[i]!));

/** A response beside a prompt: turns where either is, and without the prompt where it repeats it. */
export const harmonised = (prompt: Text, response: Text): { prompt: Text; response: Text } => {
  if (isText(prompt) && isText(response)) return { prompt, response };
  const turns = asTurns(response, 'assistant');
  const before = asTurns(prompt, 'user');
  return {
    prompt: before,
    response: startsWith(turns, before) ? turns.slice(before.length) : turns,
  };
};

/** A prompt column with two responses, each of which may be text, turns, or the whole dialogue. */
export const explicitPair = (place: string, prompt: Text, chosen: Text, rejected: Text): Pair => {
  const whole = (text: Text): boolean => !isText(text) && text[0]?.role !== 'assistant';
  if (isText(prompt) && !isText(chosen) && !isText(rejected) && whole(chosen) && whole(rejected)) {
    const pair = splitDialogues(place, chosen, rejected);
    const spoken = asTurns(pair.prompt, 'user').map(({ content }) => content);
    if (spoken.join('\n').includes(prompt.trim())) return pair;
    throw dataError(
      place,
      'the text in "prompt" does not occur in the turns that "chosen" and "rejected" share',
      "Correct the row, or leave the prompt column out: columns: { prompt: '' }.",
    );
  }
  if (isText(chosen) !== isText(rejected)) {
    return explicitPair(
      place,
      prompt,
      asTurns(chosen, 'assistant'),
      asTurns(rejected, 'assistant'),
    );
  }
  const [first, second] = [harmonised(prompt, chosen), harmonised(prompt, rejected)];
  return {
    kind: 'preference',
    prompt: first.prompt,
    chosen: first.response,
    rejected: second.response,
  };
};
