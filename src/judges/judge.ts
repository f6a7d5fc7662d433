// What a judge is. A golden judge stands for the truth: it labels datasets, trains the golden policy and
// evaluates. A proxy judge is what a policy trains against. They are different types, so that one
// cannot be passed for the other (Tang et al. 2024, section 4.1).
import type { Text } from '../text/example.js';

export type JudgeRole = 'proxy' | 'golden';

/** A prompt with a response to it: text for judges that read, ids for those that score tokens. */
export interface Judged {
  readonly prompt: Text;
  readonly promptTokens: Int32Array;
}

export interface JudgedResponse {
  readonly text: string;
  readonly tokens: Int32Array;
  /** No end-of-text token was drawn. */
  readonly truncated: boolean;
}

export interface ScoreRequest extends Judged {
  readonly response: JudgedResponse;
  /** Other columns of the prompt's row, for rules. */
  readonly columns?: Readonly<Record<string, unknown>>;
}

export interface CompareRequest extends Judged {
  readonly first: JudgedResponse;
  readonly second: JudgedResponse;
  readonly columns?: Readonly<Record<string, unknown>>;
}

export interface Verdict {
  /** P(first is better); 0.5 is a tie; null where the judge failed (never counts as a tie). */
  readonly preference: number | null;
  /** P(the one shown first is better) as judged in each order: (first, second), (second, first). */
  readonly orders?: readonly [number, number];
  readonly reason?: string;
}

interface JudgeIdentity<Role extends JudgeRole> {
  readonly role: Role;
  readonly name: string;
  /** Changes when its answers may change; recorded with every label. */
  readonly version: string;
  dispose?(): Promise<void>;
}

/** Gives each response a number; null where it cannot tell. */
export interface RewardJudge<Role extends JudgeRole = JudgeRole> extends JudgeIdentity<Role> {
  readonly kind: 'reward';
  score(
    requests: readonly ScoreRequest[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<readonly (number | null)[]>;
}

/** Compares two responses, in both orders where order could matter. */
export interface PairJudge<Role extends JudgeRole = JudgeRole> extends JudgeIdentity<Role> {
  readonly kind: 'pair';
  compare(
    requests: readonly CompareRequest[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<readonly Verdict[]>;
}

export type Judge<Role extends JudgeRole = JudgeRole> = RewardJudge<Role> | PairJudge<Role>;
