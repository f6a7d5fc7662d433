// Rules as reward judges: cheap, exact, and enough to see whether training works at all.
import * as z from 'zod';
import { AlignlabError } from '../errors.js';
import { refuseUnknown } from '../options.js';
import { type JudgeNames, judgeIdentity, judgeNames } from './function-judge.js';
import type { JudgeRole, RewardJudge, ScoreRequest } from './judge.js';
import { negativeWords, positiveWords } from './word-lists.js';

type Score = (request: ScoreRequest) => number | null;

export interface Rule {
  /** One line for --help. */
  readonly help: string;
  readonly parameters: z.ZodObject;
  /** The rule with these parameters. */
  make(parameters: Readonly<Record<string, unknown>>): {
    readonly score: Score;
    readonly resolved: object;
  };
}

const rule = <Schema extends z.ZodObject>(
  help: string,
  parameters: Schema,
  make: (resolved: z.output<Schema>) => Score,
): Rule => ({
  help,
  parameters,
  make: (given) => {
    const parsed = parameters.safeParse(given);
    if (parsed.success) return { score: make(parsed.data), resolved: parsed.data };
    const problems = z.prettifyError(parsed.error).replaceAll(/\s*\n\s*/g, ' ');
    throw new AlignlabError('OPTION_INVALID', `${problems}.`);
  },
});

export const wordsOf = (text: string): string[] =>
  text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? [];

const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

const textList = z.array(z.string().min(1)).min(1);

const length = rule(
  'minus the distance to a target length; without target, the length itself',
  z.strictObject({
    unit: z.enum(['tokens', 'characters', 'words']).default('tokens'),
    target: z.number().min(0).nullable().default(null),
    direction: z.enum(['longer', 'shorter']).default('longer'),
  }),
  ({ unit, target, direction }) => {
    const measure = ({ response: { text, tokens } }: ScoreRequest): number => {
      if (unit === 'tokens') return tokens.length;
      return unit === 'words' ? wordsOf(text).length : Array.from(text).length;
    };
    if (target !== null) return (request) => -Math.abs(measure(request) - target);
    return (request) => (direction === 'longer' ? 1 : -1) * measure(request);
  },
);

const contains = rule(
  'the share of the given texts that the response contains',
  z.strictObject({ texts: textList, ignoreCase: z.boolean().default(true) }),
  ({ texts, ignoreCase }) => {
    const fold = (text: string): string => (ignoreCase ? text.toLowerCase() : text);
    const folded = texts.map(fold);
    return ({ response }) => {
      const text = fold(response.text);
      return share(folded.filter((each) => text.includes(each)).length, folded.length);
    };
  },
);

const expression = (pattern: string, flags: string): RegExp => {
  try {
    return new RegExp(pattern, flags);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AlignlabError('OPTION_INVALID', `The pattern of the rule is invalid: ${reason}.`, {
      cause,
    });
  }
};

const regex = rule(
  '1 if the pattern matches, else 0; with count, the number of matches',
  z.strictObject({
    pattern: z.string().min(1),
    flags: z.string().default('u'),
    count: z.boolean().default(false),
  }),
  ({ pattern, flags, count }) => {
    const all = expression(pattern, flags.includes('g') ? flags : `${flags}g`);
    return ({ response: { text } }) => {
      const matches = [...text.matchAll(all)].length;
      return count ? matches : Math.min(matches, 1);
    };
  },
);

const json = rule(
  '1 if the response is valid JSON that has the keys asked for, else 0',
  z.strictObject({ keys: z.array(z.string()).default([]) }),
  ({ keys }) =>
    ({ response: { text } }) => {
      try {
        const value: unknown = JSON.parse(text);
        if (keys.length === 0) return 1;
        const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value);
        return Number(isRecord && keys.every((key) => Object.hasOwn(value, key)));
      } catch {
        return 0;
      }
    },
);

const repetition = rule(
  'minus the share of n-grams of words that occurred before in the response',
  z.strictObject({ n: z.int().min(1).default(3) }),
  ({ n }) =>
    ({ response: { text } }) => {
      const words = wordsOf(text);
      const grams = words.slice(n - 1).map((_, i) => words.slice(i, i + n).join(' '));
      const repeated = grams.length - new Set(grams).size;
      return repeated === 0 ? 0 : -share(repeated, grams.length);
    },
);

const sentiment = rule(
  'positive words less negative words, per word of the response or in all',
  z.strictObject({
    positive: textList.default([...positiveWords]),
    negative: z.array(z.string()).default([...negativeWords]),
    per: z.enum(['word', 'response']).default('response'),
  }),
  ({ positive, negative, per }) => {
    const values = new Map([
      ...negative.map((word) => [word.toLowerCase(), -1] as const),
      ...positive.map((word) => [word.toLowerCase(), 1] as const),
    ]);
    return ({ response: { text } }) => {
      const words = wordsOf(text);
      const sum = words.reduce((total, word) => total + (values.get(word) ?? 0), 0);
      return per === 'word' ? share(sum, words.length) : sum;
    };
  },
);

const answer = rule(
  "1 if the response (or the pattern's first group in it) equals a column of the prompt's row",
  z.strictObject({
    column: z.string().default('answer'),
    pattern: z.string().nullable().default(null),
  }),
  ({ column, pattern }) => {
    const extract = pattern === null ? null : expression(pattern, 'u');
    return ({ response: { text }, columns = {} }) => {
      const expected = columns[column];
      if (typeof expected !== 'string' && typeof expected !== 'number') return null;
      const found = extract ? extract.exec(text)?.[1] : text;
      return Number(found?.trim() === String(expected).trim());
    };
  },
);

const finished = rule(
  '1 if the response ended by itself, 0 if it was cut off at the token limit',
  z.strictObject({}),
  () =>
    ({ response }) =>
      Number(!response.truncated),
);

/** By name, as a configuration names them. */
export const rules = {
  length,
  contains,
  regex,
  json,
  repetition,
  sentiment,
  answer,
  finished,
} as const satisfies Readonly<Record<string, Rule>>;

export type RuleName = keyof typeof rules;

const isRuleName = (name: string): name is RuleName => Object.hasOwn(rules, name);

/**
 * A rule as a judge: ruleJudge('length', { target: 20 }). Its version is its parameters.
 * Throws OPTION_INVALID for an unknown rule or parameter.
 */
export const ruleJudge = <Role extends JudgeRole = 'proxy'>(
  name: RuleName,
  parameters: Readonly<Record<string, unknown>> = {},
  names: Partial<JudgeNames<Role>> = {},
): RewardJudge<Role> => {
  refuseUnknown('ruleJudge', names, judgeNames);
  if (!isRuleName(name)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `There is no rule "${String(name)}". The rules are ${Object.keys(rules).join(', ')}.`,
    );
  }
  try {
    const { score, resolved } = rules[name].make(parameters);
    return {
      kind: 'reward',
      ...judgeIdentity<Role>({ name: `rule:${name}`, version: JSON.stringify(resolved), ...names }),
      score: (requests) => Promise.resolve(requests.map(score)),
    };
  } catch (cause) {
    if (!(cause instanceof AlignlabError)) throw cause;
    throw new AlignlabError(cause.code, `Rule "${name}": ${cause.message}`, { cause });
  }
};
