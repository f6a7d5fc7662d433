// OpenAssistant's message trees: replies of the assistant to one message carry ranks, 0 the best.
import { isObject, type JsonObject } from '../../checkpoint/json.js';
import type { Message } from '../../text/example.js';
import { wrongValue } from '../row.js';
import { roleOf } from './fields.js';
import type { Draft, Format } from './format.js';
import { rankedPairs } from './judged.js';

interface Found {
  readonly drafts: Draft[];
  ties: number;
}

const messageOf = (place: string, node: JsonObject): Message => {
  if (typeof node.text !== 'string') throw wrongValue(place, 'text', node.text ?? null, 'text');
  return { role: roleOf(place, 'role', node.role), content: node.text };
};

const repliesOf = (place: string, node: JsonObject): readonly JsonObject[] => {
  const replies = node.replies ?? [];
  if (!Array.isArray(replies) || !replies.every(isObject)) {
    throw wrongValue(place, 'replies', replies, 'a list of messages');
  }
  return replies.filter((reply) => reply.deleted !== true);
};

const collect = (
  place: string,
  node: JsonObject,
  before: readonly Message[],
  found: Found,
): void => {
  const path = [...before, messageOf(place, node)];
  const replies = repliesOf(place, node);
  const ranked = replies.flatMap((reply) => {
    const message = messageOf(place, reply);
    const { rank } = reply;
    if (message.role !== 'assistant' || rank === undefined || rank === null) return [];
    if (typeof rank !== 'number') throw wrongValue(place, 'rank', rank, 'a number');
    return [{ item: [message], score: -rank }];
  });
  const { pairs, ties } = rankedPairs(ranked);
  found.ties += ties;
  for (const [chosen, rejected] of pairs) {
    found.drafts.push({ kind: 'preference', prompt: path, chosen, rejected });
  }
  for (const reply of replies) collect(place, reply, path, found);
};

export const oasst: Format = {
  name: 'oasst',
  kind: 'preference',
  about:
    'message_tree_id, prompt with nested replies (OpenAssistant): every two ranked replies to a ' +
    'message are a pair',
  matches: (value) => 'message_tree_id' in value && isObject(value.prompt),
  parse: ({ place, value }) => {
    const found: Found = { drafts: [], ties: 0 };
    if (!isObject(value.prompt))
      throw wrongValue(place, 'prompt', value.prompt ?? null, 'a message');
    collect(place, value.prompt, [], found);
    return found;
  },
};
