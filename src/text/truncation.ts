// What happens to prompts and responses that are too long. Cut responses lose their end, and with
// it the end-of-text token.
import { AlignlabError } from '../errors.js';

/**
 * Of the prompt and what follows it, keep_start keeps the first tokens, as TRL does: responses are
 * cut, and a row whose prompt alone fills `maxLength` is dropped. keep_end cuts the start of the
 * prompt (a leading BOS stays) until the longest response fits, and responses only where a prompt
 * of one token is not enough. drop and error refuse the row.
 */
export type Truncation = 'keep_start' | 'keep_end' | 'drop' | 'error';

export interface Limits {
  /** Tokens of a prompt with one response. Absent: no limit. */
  readonly maxLength?: number | undefined;
  readonly maxPromptLength?: number | undefined;
  readonly maxCompletionLength?: number | undefined;
  readonly truncation: Truncation;
  /** A first token that keep_end keeps. */
  readonly bos?: number | undefined;
}

export interface Fitted {
  readonly prompt: readonly number[];
  readonly responses: readonly {
    readonly tokens: readonly number[];
    readonly truncated: boolean;
  }[];
  /** Anything was cut, the prompt included. */
  readonly truncated: boolean;
}

export type TooLong = 'prompt_too_long' | 'completion_too_long' | 'too_long';

/** The last tokens of a prompt, and its first if that is the begin-of-sequence token. */
const tail = (prompt: readonly number[], length: number, bos: number | undefined): number[] => {
  if (prompt.length <= length) return [...prompt];
  const keepsBos = bos !== undefined && prompt[0] === bos && length > 1;
  const rest = prompt.slice(prompt.length - length + Number(keepsBos));
  return keepsBos ? [bos, ...rest] : rest;
};

const refuse = (origin: string, name: string, length: number, limit: number): never => {
  throw new AlignlabError(
    'SEQUENCE_TOO_LONG',
    `${origin} has ${length} tokens where ${name} allows ${limit}. Raise ${name}, shorten the ` +
      "row, or set truncation to 'keep_start', 'keep_end' or 'drop'.",
  );
};

/**
 * @param responses may be empty (a prompt to sample from): room is then left for
 *   `maxCompletionLength` tokens, or for one
 * @returns what fits, or the reason to drop the row. Throws SEQUENCE_TOO_LONG under 'error'.
 */
export const fit = (
  prompt: readonly number[],
  responses: readonly (readonly number[])[],
  limits: Limits,
  origin: string,
): Fitted | TooLong => {
  const { maxLength = Infinity, maxPromptLength = Infinity, truncation, bos } = limits;
  const maxCompletionLength = limits.maxCompletionLength ?? Infinity;
  const refuses = truncation === 'drop' || truncation === 'error';
  const over = (name: string, length: number, limit: number): boolean => {
    if (length > limit && truncation === 'error') refuse(origin, name, length, limit);
    return length > limit;
  };
  const reserve = responses.length > 0 ? 0 : (limits.maxCompletionLength ?? 1);
  const longest = Math.max(reserve, ...responses.map((tokens) => tokens.length));
  if (over('maxPromptLength', prompt.length, maxPromptLength) && refuses) return 'prompt_too_long';
  if (over('maxCompletionLength', longest, maxCompletionLength) && refuses) {
    return 'completion_too_long';
  }
  const capped = Math.min(longest, maxCompletionLength);
  const keepsStart = truncation !== 'keep_end';
  let kept = keepsStart
    ? prompt.slice(0, maxPromptLength)
    : tail(prompt, Math.min(maxPromptLength, Math.max(1, maxLength - capped)), bos);
  if (over('maxLength', kept.length + capped, maxLength) && refuses) return 'too_long';
  if (kept.length + Math.max(1, reserve) > maxLength) {
    if (keepsStart) return 'prompt_too_long';
    kept = tail(prompt, Math.max(1, maxLength - 1), bos);
  }
  const room = Math.min(maxCompletionLength, maxLength - kept.length);
  const cut = responses.map((tokens) => ({
    tokens: tokens.slice(0, room),
    truncated: tokens.length > room,
  }));
  const truncated = kept.length < prompt.length || cut.some((response) => response.truncated);
  return { prompt: kept, responses: cut, truncated };
};
