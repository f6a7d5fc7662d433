// What drawing groups and drawing pairs take from a caller, and what does not fit together.
import type { PolicyModel } from '../engine/policy-model.js';
import { AlignlabError } from '../errors.js';
import { requireProxy } from '../judges/checked.js';
import type { Judge } from '../judges/judge.js';
import type { OptionNames } from '../options.js';
import { type CursorOptions, type Items, cursorOptions } from './cursor.js';
import { checkJudging } from './judging.js';
import type { PolicyPrompt } from './prompts.js';
import { type SamplerOptions, samplerOptions } from './sampler.js';

export interface OnPolicyOptions extends SamplerOptions, Omit<CursorOptions, 'seed'> {
  readonly prompts: Items<PolicyPrompt>;
  /** A golden judge is refused; see toTrainGoldenPolicy. */
  readonly judge?: Judge<'proxy'>;
  /** Ids of a response to text, for the judge: such as `encoder.decode`. */
  readonly decode?: (response: Int32Array, prompt: Int32Array) => string;
  /** Scores each response at once, so that log-probabilities under it are recorded. */
  readonly reference?: PolicyModel;
  /** Subtracted from the reward of a response that was cut off at the token limit. Default 0. */
  readonly missingEosPenalty?: number;
  /** Of the prompts, for the manifest. */
  readonly name?: string;
}

export const onPolicyOptions: OptionNames<OnPolicyOptions> = {
  ...cursorOptions,
  ...samplerOptions,
  prompts: true,
  judge: true,
  decode: true,
  reference: true,
  missingEosPenalty: true,
  name: true,
};

/** Throws OPTION_INVALID. */
export const checkOnPolicy = (options: OnPolicyOptions): void => {
  const { judge, decode, missingEosPenalty = 0, policy } = options;
  if (judge) requireProxy(judge);
  checkJudging(judge, missingEosPenalty);
  if (judge && !decode) {
    throw new AlignlabError(
      'OPTION_INVALID',
      'A judge reads text: give decode: (response, prompt) => text, such as the encoder has.',
    );
  }
  const stops = options.sampling?.stopTokens ?? policy.endTokens;
  if (missingEosPenalty > 0 && stops.length === 0) {
    throw new AlignlabError(
      'OPTION_INVALID',
      'missingEosPenalty would hit every response: no token ends a text. Give sampling.stopTokens.',
    );
  }
};
