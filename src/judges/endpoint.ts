// A language model behind an OpenAI-compatible endpoint as a judge. Models favour what they see first
// (12.9 % of verdicts flip when the order does), so each pair is asked in both orders; verdicts that
// contradict each other are a tie. What cannot be read is no verdict, and never a tie.
import { refuseUnknown } from '../options.js';
import type { Text } from '../text/example.js';
import {
  type ChatMessage,
  ChatClient,
  type ChatOptions,
  type ChatUsage,
  chatOptions,
} from './chat-client.js';
import { type JudgeNames, judgeIdentity, judgeNames, symmetric } from './function-judge.js';
import type { CompareRequest, JudgeRole, PairJudge, RewardJudge, ScoreRequest } from './judge.js';

interface EndpointOptions<Role extends JudgeRole> extends ChatOptions, Partial<JudgeNames<Role>> {}

export interface EndpointJudgeOptions<Role extends JudgeRole> extends EndpointOptions<Role> {
  /** The question, with `first` shown first. Default: asks for one of the letters A, B and C. */
  readonly messages?: (request: CompareRequest) => readonly ChatMessage[];
  /** P(the one shown first is better), or null. Default: A is 1, B 0, and C 0.5. */
  readonly parse?: (answer: string) => number | null;
  /** Default true. false asks in the given order only. */
  readonly bothOrders?: boolean;
}

export interface EndpointScoreOptions<Role extends JudgeRole> extends EndpointOptions<Role> {
  /** The question. Default: asks for a whole number from 1 to 10. */
  readonly messages?: (request: ScoreRequest) => readonly ChatMessage[];
  /** The score, or null. Default: a number from 1 to 10. */
  readonly parse?: (answer: string) => number | null;
}

/** Of judges that cost money: what they were asked so far. */
export interface Metered {
  usage(): ChatUsage;
}

export const plainText = (text: Text): string =>
  typeof text === 'string'
    ? text
    : text.map(({ role, content }) => `${role}: ${content}`).join('\n\n');

export const defaultQuestion = ({ prompt, first, second }: CompareRequest): ChatMessage[] => [
  {
    role: 'system',
    content:
      'You compare two responses to a prompt. Judge how well each one does what the prompt asks. ' +
      'Their order and their length must not influence you. Answer with one letter and nothing ' +
      'else: A if response A is better, B if response B is better, C if they are equally good.',
  },
  {
    role: 'user',
    content:
      `<prompt>\n${plainText(prompt)}\n</prompt>\n\n<response_a>\n${first.text}\n</response_a>` +
      `\n\n<response_b>\n${second.text}\n</response_b>`,
  },
];

const letters: Readonly<Record<string, number>> = { A: 1, B: 0, C: 0.5 };

/** One letter, alone or in brackets, quotes or after 'Answer:'; anything else is no verdict. */
export const parseLetter = (answer: string): number | null => {
  const found = /^\W*(?:(?:answer|verdict)\W+)?([abc])\W*$/i.exec(answer.trim());
  return letters[found?.[1]?.toUpperCase() ?? ''] ?? null;
};

export const defaultScoreQuestion = ({ prompt, response }: ScoreRequest): ChatMessage[] => [
  {
    role: 'system',
    content:
      'You rate a response to a prompt by how well it does what the prompt asks. Its length must ' +
      'not influence you. Answer with a whole number from 1 (worst) to 10 (best) and nothing else.',
  },
  {
    role: 'user',
    content: `<prompt>\n${plainText(prompt)}\n</prompt>\n\n<response>\n${response.text}\n</response>`,
  },
];

export const parseScore = (answer: string): number | null => {
  const found = /^\W*(?:(?:answer|score|rating)\W+)?(10|[1-9])(?:\s*\/\s*10)?\W*$/i.exec(answer);
  return found ? Number(found[1]) : null;
};

const scoreOptions = { ...chatOptions, ...judgeNames, messages: true, parse: true } as const;

const identityOf = <Role extends JudgeRole>(options: EndpointOptions<Role>) =>
  judgeIdentity<Role>({ ...options, name: options.name ?? `endpoint:${options.model}` });

/** Throws JUDGE_FAILED where the endpoint refuses for good; other failures leave no preference. */
export const endpointJudge = <Role extends JudgeRole = 'proxy'>(
  options: EndpointJudgeOptions<Role>,
): PairJudge<Role> & Metered => {
  const { messages = defaultQuestion, parse = parseLetter, bothOrders = true } = options;
  refuseUnknown('endpointJudge', options, { ...scoreOptions, bothOrders: true });
  const client = new ChatClient(options);
  return {
    kind: 'pair',
    ...identityOf(options),
    compare: (requests, ask = {}) => {
      const one = (request: CompareRequest) => client.ask(messages(request), parse, ask);
      return settled(
        requests.map(async (request) => {
          if (!bothOrders) return { preference: await one(request) };
          const turned = { ...request, first: request.second, second: request.first };
          const [first, second] = await settled([one(request), one(turned)]);
          const verdict = symmetric(first ?? null, second ?? null);
          return verdict.preference === null
            ? { ...verdict, reason: 'no answer that can be read in one order or both' }
            : verdict;
        }),
      );
    },
    usage: () => client.usage,
  };
};

/** A rating of single responses. Ratings of one endpoint tie often; pairs tell more. */
export const endpointScoreJudge = <Role extends JudgeRole = 'proxy'>(
  options: EndpointScoreOptions<Role>,
): RewardJudge<Role> & Metered => {
  const { messages = defaultScoreQuestion, parse = parseScore } = options;
  refuseUnknown('endpointScoreJudge', options, scoreOptions);
  const client = new ChatClient(options);
  return {
    kind: 'reward',
    ...identityOf(options),
    score: (requests, ask = {}) =>
      settled(requests.map((request) => client.ask(messages(request), parse, ask))),
    usage: () => client.usage,
  };
};

/** As Promise.all, but it waits for all of them: no request is under way after a failure. */
const settled = async <T>(promises: readonly Promise<T>[]): Promise<T[]> => {
  const results = await Promise.allSettled(promises);
  return results.map((result) => {
    if (result.status === 'fulfilled') return result.value;
    throw result.reason;
  });
};
