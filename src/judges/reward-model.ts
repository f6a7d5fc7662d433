// A reward model as a judge: a language model's backbone with one scalar, read at the last token of
// the response. Requests with the same prompt share its computation.
import { type Segment, joinBatches } from '../engine/batch.js';
import type { LanguageModel } from '../engine/model.js';
import { byBudget, defaultPassTokens } from '../engine/responses.js';
import { AlignlabError } from '../errors.js';
import { refuseUnknown, requireWhole } from '../options.js';
import type { AskOptions } from './checked.js';
import { type JudgeNames, judgeIdentity, judgeNames } from './function-judge.js';
import type { JudgeRole, RewardJudge, ScoreRequest } from './judge.js';

/** Token ids of a prompt and the response that continues it. */
export interface EncodedResponse {
  readonly prompt: Int32Array;
  readonly response: Int32Array;
}

export interface RewardModelOptions<Role extends JudgeRole> extends JudgeNames<Role> {
  /** Has one scalar output. */
  readonly model: LanguageModel;
  /**
   * For a reward model with another tokenizer than the policy's, or another template. Default: the
   * request's own token ids.
   */
  readonly encode?: (request: ScoreRequest) => EncodedResponse;
  /** Of one pass. Does not change results. Default 4096. */
  readonly maxTokens?: number;
  /** Dispose the model with the judge. Default false. */
  readonly owned?: boolean;
}

export const requireScalarHead = ({ shape }: LanguageModel, name: string): void => {
  if (shape.scalarOutputs === 1) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `The model of the judge "${name}" has ${shape.scalarOutputs} scalar outputs, not one. ` +
      'Load a …ForSequenceClassification checkpoint with num_labels 1.',
  );
};

interface Asked extends EncodedResponse {
  /** Index of the request. */
  readonly index: number;
}

interface PromptGroup {
  readonly prompt: Int32Array;
  readonly asked: Asked[];
}

const byPrompt = (asked: readonly Asked[]): PromptGroup[] => {
  const groups = new Map<string, PromptGroup>();
  for (const each of asked) {
    const key = each.prompt.join(',');
    const group = groups.get(key) ?? { prompt: each.prompt, asked: [] };
    group.asked.push(each);
    groups.set(key, group);
  }
  return [...groups.values()];
};

const segmentsOf = ({ prompt, asked }: PromptGroup): Segment[] =>
  prompt.length === 0
    ? asked.map(({ response }) => ({ tokens: response }))
    : [
        { tokens: prompt, scored: false },
        ...asked.map(({ response }) => ({ tokens: response, parent: 0 })),
      ];

const sizeOf = ({ prompt, asked }: PromptGroup): number =>
  asked.reduce((sum, { response }) => sum + response.length, prompt.length);

/**
 * Scores of encoded responses by a model with one scalar output, in their order. An empty response
 * has no last token: null.
 */
export const scalarScores = async (
  model: LanguageModel,
  responses: readonly EncodedResponse[],
  { maxTokens = defaultPassTokens, signal }: AskOptions & { readonly maxTokens?: number } = {},
): Promise<(number | null)[]> => {
  const scores = responses.map((): number | null => null);
  const asked = responses
    .map((encoded, index) => ({ ...encoded, index }))
    .filter(({ response }) => response.length > 0);
  for (const groups of byBudget(byPrompt(asked), sizeOf, maxTokens)) {
    const batch = joinBatches(groups.map(segmentsOf));
    const options = { scalarAt: 'last', ...(signal ? { signal } : {}) } as const;
    const { scalars } = await model.score(batch, options);
    groups
      .flatMap((group) => group.asked)
      .forEach(({ index }, i) => {
        scores[index] = scalars[i] ?? null;
      });
  }
  return scores;
};

/** A reward model as a judge. Throws OPTION_INVALID when the model has no single scalar output. */
export const rewardModelJudge = <Role extends JudgeRole = 'proxy'>(
  options: RewardModelOptions<Role>,
): RewardJudge<Role> => {
  const { model, maxTokens, owned = false } = options;
  const own = { model: true, encode: true, maxTokens: true, owned: true } as const;
  refuseUnknown('rewardModelJudge', options, { ...judgeNames, ...own });
  if (maxTokens !== undefined) requireWhole('maxTokens', maxTokens);
  requireScalarHead(model, options.name);
  const encode =
    options.encode ??
    (({ promptTokens, response }: ScoreRequest) => ({
      prompt: promptTokens,
      response: response.tokens,
    }));
  return {
    kind: 'reward',
    ...judgeIdentity(options),
    score: (requests, ask = {}) =>
      scalarScores(model, requests.map(encode), { ...ask, ...(maxTokens ? { maxTokens } : {}) }),
    dispose: async () => {
      if (owned) await model.dispose();
    },
  };
};
