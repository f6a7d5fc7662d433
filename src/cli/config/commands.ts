// The training commands: one for each objective of the list, and the online twins of those that
// take pairs. What differs between them are defaults.
import { objectives } from '../../objectives/index.js';
import type { ObjectiveEntry } from '../../objectives/objective.js';
import type { Settings } from './keys.js';

export interface TrainingCommand {
  readonly name: string;
  readonly entry: ObjectiveEntry;
  readonly source: ObjectiveEntry['source'];
  /** per_device_train_batch_size counts samples, as in TRL's group trainers, not prompts. */
  readonly countsSamples: boolean;
  readonly defaults: Partial<Settings>;
  readonly title: string;
}

const online: Partial<Settings> = { learning_rate: 5e-7, max_completion_length: 64 };

/** Of TRL's trainers, where they differ from the schema's. */
const defaults: Readonly<Record<string, Partial<Settings>>> = {
  sft: { learning_rate: 2e-5 },
  bo2: { learning_rate: 2e-5 },
  reward: { learning_rate: 1e-4, truncation_mode: 'drop' },
  preference: { learning_rate: 1e-4, truncation_mode: 'drop' },
  kto: { train_sampling_strategy: 'sequential' },
  // These encode with a begin-of-sequence token on every prompt.
  orpo: { bos: 'always' },
  cpo: { bos: 'always' },
  simpo: { bos: 'always' },
  grpo: { num_generations: 8, max_completion_length: 512 },
  rloo: { num_generations: 2, max_completion_length: 512 },
  ppo: { ...online, learning_rate: 3e-6, num_generations: 1, num_iterations: 4 },
  reinforce: { ...online, learning_rate: 1e-6 },
  hypo: { max_completion_length: 64 },
  'online-dpo': online,
  'online-ipo': online,
  'nash-md': online,
  xpo: online,
};

const onlineTwins = ['dpo', 'ipo'];

/** Two samples of a prompt, of which a judge prefers one. */
export const drawsPairs = (name: string): boolean => name.startsWith('online-') || name === 'xpo';

const commandOf = (entry: ObjectiveEntry): TrainingCommand => ({
  name: entry.name,
  entry,
  source: entry.source,
  countsSamples: entry.name === 'grpo' || entry.name === 'rloo',
  defaults: defaults[entry.name] ?? {},
  title: entry.title,
});

const twinOf = (entry: ObjectiveEntry): TrainingCommand => ({
  name: `online-${entry.name}`,
  entry,
  source: 'on-policy',
  countsSamples: false,
  defaults: defaults[`online-${entry.name}`] ?? {},
  title: `${entry.title}, on pairs that the policy draws and a judge labels`,
});

export const trainingCommands: readonly TrainingCommand[] = [
  ...objectives.map(commandOf),
  ...objectives.filter(({ name }) => onlineTwins.includes(name)).map(twinOf),
];
