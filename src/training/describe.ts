// What the manifest says of a run: everything that decides its numbers.
import type { JsonObject } from '../checkpoint/json.js';
import type { PolicyModel } from '../engine/policy-model.js';
import { describeOptimizer } from './optimizer.js';
import type { Settings } from './options.js';
import { defaultSchedule } from './rates.js';
import type { Reference } from './reference.js';

const describeCritic = ({ critic, optimizer }: Settings): JsonObject => {
  if (!critic) return {};
  const own = { name: 'adamw' as const, ...(critic.optimizer ?? optimizer) };
  return { critic: { optimizer: describeOptimizer(own) } };
};

export const describeRun = (
  settings: Settings,
  reference: Reference<PolicyModel> | null,
): JsonObject => {
  const { objective, source, optimizer, schedule, steps, policy, referenceSync } = settings;
  return {
    ...settings.manifest,
    objective: { name: objective.name, options: objective.options },
    source: source.describe(),
    policy: { family: policy.family, dtype: policy.dtype },
    ...(reference ? { reference: reference.describe() } : {}),
    ...(referenceSync ? { referenceSync: { ...referenceSync } } : {}),
    optimizer: describeOptimizer(optimizer),
    ...describeCritic(settings),
    schedule:
      typeof schedule === 'function' ? 'function' : { ...(schedule ?? defaultSchedule(steps)) },
    steps: steps === Infinity ? null : steps,
    batchSize: settings.batchSize,
    normalization: settings.normalization,
    rollouts: { ...settings.rollouts },
    maxTokensPerPass: settings.maxTokensPerPass,
    maxLength: settings.maxLength,
    seed: settings.seed,
  };
};
