// Which sampling options change the distribution that is drawn from. Log-probabilities in training
// are the policy's own at temperature 1, so samples of another distribution bias gradients that
// assume on-policy samples, and what is logged as KL is not one.
import type { JsonValue } from '../checkpoint/json.js';
import type { SamplingOptions } from '../engine/generate.js';
import { AlignlabError } from '../errors.js';

/** Values under which an option leaves the distribution alone. */
const neutral = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  minNewTokens: 0,
} as const satisfies Partial<Record<keyof SamplingOptions, number>>;

const names = Object.keys(neutral) as (keyof typeof neutral)[];

export const biases = (sampling: SamplingOptions): (keyof typeof neutral)[] =>
  names.filter((name) => (sampling[name] ?? neutral[name]) !== neutral[name]);

export const requireUnbiased = (sampling: SamplingOptions, allowed: boolean): void => {
  const found = biases(sampling);
  if (allowed || found.length === 0) return;
  const shown = found.map((name) => `${name} ${String(sampling[name])}`).join(', ');
  throw new AlignlabError(
    'OPTION_INVALID',
    `With ${shown} the samples are not drawn from the policy's own distribution, whose ` +
      'log-probabilities training uses. Leave it out, or accept the bias, which is then ' +
      'recorded, by allowBiasedSampling: true.',
  );
};

/** The settings that decide the samples, defaults included. */
export const recordedSampling = (
  sampling: SamplingOptions,
  endTokens: readonly number[],
): Readonly<Record<string, JsonValue>> => ({
  maxNewTokens: sampling.maxNewTokens ?? 64,
  ...Object.fromEntries(names.map((name) => [name, sampling[name] ?? neutral[name]])),
  stopTokens: [...(sampling.stopTokens ?? endTokens)],
  ...(sampling.stopStrings ? { stopStrings: [...sampling.stopStrings] } : {}),
});
