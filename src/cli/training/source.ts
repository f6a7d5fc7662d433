// The source of a run: a dataset, samples of the policy, both, or a replay.
import { join } from 'node:path';
import type { LanguageModel } from '../../engine/model.js';
import type { Judge } from '../../judges/judge.js';
import type { CursorOptions, Items } from '../../sources/cursor.js';
import { datasetSource } from '../../sources/dataset.js';
import { hybrid } from '../../sources/mixture.js';
import { type OnPolicyOptions, onPolicyGroups } from '../../sources/on-policy.js';
import { onPolicyPairs } from '../../sources/on-policy-pairs.js';
import type { PolicyPrompt } from '../../sources/prompts.js';
import { replay } from '../../sources/replay.js';
import type { PolicySampling } from '../../sources/sampler.js';
import type { Source } from '../../sources/source.js';
import type { Encoder } from '../../text/encoding.js';
import type { Example } from '../../text/example.js';
import { drawsPairs } from '../config/commands.js';
import type { Settings } from '../config/keys.js';
import { invalid } from '../config/layers.js';
import type { ResolvedConfig } from '../config/resolve.js';
import { openJudge } from '../judge.js';

export interface SourceParts {
  readonly config: ResolvedConfig;
  readonly encoder: Encoder;
  readonly policy: LanguageModel;
  /** Samples are scored under it, and an opponent's are drawn from it. */
  readonly reference: LanguageModel | null;
  readonly judge: Judge<'proxy'> | null;
  readonly examples: Items<Example> | null;
  readonly prompts: readonly PolicyPrompt[] | null;
}

const orderOf = (settings: Settings): CursorOptions => ({
  order: settings.train_sampling_strategy === 'random' ? 'shuffled' : 'sequential',
  seed: settings.data_seed ?? settings.seed,
});

/** `pairsUp`: a batch of one is of no use (KTO), so that the last one takes from the next epoch. */
export const datasetOf = (settings: Settings, examples: Items<Example>, pairsUp = false): Source =>
  datasetSource({
    examples,
    ...orderOf(settings),
    lastBatch: settings.dataloader_drop_last ? 'drop' : pairsUp ? 'across' : 'short',
    ...(pairsUp || settings.max_steps > 0 ? {} : { epochs: Math.ceil(settings.num_train_epochs) }),
  });

/** The opponents of those objectives that have one. */
const opponents = { xpo: 'reference', 'nash-md': 'mixture' } as const;
const opponentOf = (name: string): 'reference' | 'mixture' | null =>
  Object.hasOwn(opponents, name) ? opponents[name as keyof typeof opponents] : null;

/** Does the objective itself subtract the penalty? Then the source must not. */
const penaltyOfSource = ({ settings, options }: ResolvedConfig): number =>
  'missing_eos_penalty' in options ? 0 : (settings.missing_eos_penalty ?? 0);

const samplingOf = ({ settings }: ResolvedConfig): PolicySampling => ({
  maxNewTokens: settings.max_completion_length ?? 64,
  temperature: settings.temperature,
  topP: settings.top_p,
  topK: settings.top_k,
  minP: settings.min_p ?? 0,
  repetitionPenalty: settings.repetition_penalty,
});

/** Without a judge, which not every source may have. */
const onPolicyOptions = (parts: SourceParts): Omit<OnPolicyOptions, 'judge'> => {
  const { config, encoder, policy, prompts, reference } = parts;
  const { settings } = config;
  return {
    policy,
    ...(reference ? { reference } : {}),
    prompts: prompts ?? [],
    ...orderOf(settings),
    seed: settings.seed,
    sampling: samplingOf(config),
    syncEvery: settings.sync_every === 'never' ? Infinity : settings.sync_every,
    allowBiasedSampling: settings.allow_biased_sampling,
    missingEosPenalty: penaltyOfSource(config),
    decode: (response, prompt) => encoder.decode(response, prompt),
  };
};

const pairsSource = (parts: SourceParts, judge: Judge<'proxy'>): Source => {
  const { config, reference } = parts;
  const { command, settings } = config;
  const opponent = opponentOf(command.name);
  const common = { ...onPolicyOptions(parts), judge, samples: settings.num_generations };
  const ties = settings.tie_policy;
  if (opponent === null) return onPolicyPairs({ ...common, ties });
  if (!reference) throw invalid(`${command.name} needs a reference to draw samples from.`);
  const against = { ...common, reference, opponent };
  if (opponent === 'reference') return onPolicyPairs({ ...against, ties });
  return onPolicyPairs({ ...against, yields: 'samples', mixtureWeight: settings.mixture_coef });
};

const hybridSource = (parts: SourceParts): Source => {
  const { config, examples } = parts;
  const { settings } = config;
  const { missingEosPenalty: _, decode: __, ...common } = onPolicyOptions(parts);
  return hybrid({
    pairs: datasetOf(settings, examples ?? []),
    samples: onPolicyGroups({ ...common, samples: settings.num_generations }),
    groupsPerPair: settings.groups_per_pair,
  });
};

const replayOf = async (settings: Settings, folder: string): Promise<Source> =>
  replay({
    log: join(folder, 'completions.jsonl'),
    order: settings.replay_order,
    ...(settings.replay_window === null ? {} : { window: settings.replay_window }),
    seed: settings.data_seed ?? settings.seed,
    epochs: settings.max_steps > 0 ? Number.MAX_SAFE_INTEGER : Math.ceil(settings.num_train_epochs),
  });

export const makeSource = async (parts: SourceParts): Promise<Source> => {
  const { config, judge, examples } = parts;
  const { command, settings } = config;
  if (command.source === 'dataset') {
    return datasetOf(settings, examples ?? [], config.objective.needs.mismatched);
  }
  if (command.source === 'hybrid') return hybridSource(parts);
  if (settings.replay !== null) return replayOf(settings, settings.replay);
  if (!judge) throw needsJudge(command.name);
  if (drawsPairs(command.name) || opponentOf(command.name)) return pairsSource(parts, judge);
  return onPolicyGroups({ ...onPolicyOptions(parts), judge, samples: settings.num_generations });
};

const needsJudge = (command: string): Error =>
  invalid(
    `${command} needs a judge of the samples: --judge rule:NAME, reward-model:FOLDER, ` +
      'preference-model:FOLDER or endpoint:URL.',
  );

/** Is there a judge where one is needed, and none where it would have nothing to do? */
export const checkJudge = ({ command, settings }: ResolvedConfig): void => {
  const { judge, replay: recorded } = settings;
  const isJudged = command.source === 'on-policy' && recorded === null;
  if (isJudged && judge === null) throw needsJudge(command.name);
  if (isJudged || judge === null) return;
  throw invalid(
    recorded === null
      ? `${command.name} takes no judge: its samples are unlabelled. Remove --judge.`
      : 'The samples of --replay are judged already. Remove --judge.',
  );
};

/** The judge of the samples; null where there are none, or nobody judges them. */
export const openTrainingJudge = async (
  { settings }: ResolvedConfig,
  encoder: Encoder,
): Promise<Judge<'proxy'> | null> => {
  const { judge, judge_options: options } = settings;
  return judge === null ? null : openJudge(judge, { encoder, role: 'proxy', options });
};
