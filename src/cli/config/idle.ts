// Keys that act only beside another one. TRL's configurations carry some of them about, which is
// noted; ours raise.
import type { SettingName, Settings } from './keys.js';

interface Idle {
  readonly acts: (settings: Settings) => boolean;
  readonly matters: string;
  /** What a TRL configuration may have standing there. */
  readonly harmless?: boolean;
}

const evaluates = ({ eval_strategy: strategy, eval_on_start: start }: Settings): boolean =>
  strategy !== 'no' || start;
const follows = ({ sync_ref_model: sync }: Settings): boolean => sync;
const replays = ({ replay }: Settings): boolean => replay !== null;
const draws = ({ replay }: Settings): boolean => replay === null;

const beside: Partial<Record<SettingName, Idle>> = {
  eval_steps: {
    acts: ({ eval_strategy: strategy }) => strategy === 'steps',
    matters: 'it matters with eval_strategy steps only',
    harmless: true,
  },
  per_device_eval_batch_size: {
    acts: evaluates,
    matters: 'it matters with eval_strategy only',
    harmless: true,
  },
  save_steps: {
    acts: ({ save_strategy: strategy }) => strategy === 'steps',
    matters: 'it matters with save_strategy steps only',
    harmless: true,
  },
  ref_model_sync_steps: {
    acts: follows,
    matters: 'it matters with sync_ref_model only',
    harmless: true,
  },
  ref_model_mixup_alpha: {
    acts: follows,
    matters: 'it matters with sync_ref_model only',
    harmless: true,
  },
  eval_dataset: { acts: evaluates, matters: 'nothing is evaluated without eval_strategy' },
  judge_options: { acts: ({ judge }) => judge !== null, matters: 'there is no judge' },
  replay_order: { acts: replays, matters: 'there is no replay' },
  replay_window: { acts: replays, matters: 'there is no replay' },
  dataset_name: { acts: draws, matters: 'replay brings its own prompts and samples' },
  datasets: { acts: draws, matters: 'replay brings its own prompts and samples' },
  prompts: { acts: draws, matters: 'replay brings its own prompts and samples' },
};

/** Why a key that was set has nothing to do; null where it has. */
export const idleReason = (
  name: SettingName,
  settings: Settings,
): { readonly reason: string; readonly harmless: boolean } | null => {
  const found = beside[name];
  if (!found || found.acts(settings)) return null;
  return { reason: found.matters, harmless: found.harmless === true };
};
