// What a run says about itself before it begins.
import { basename, resolve } from 'node:path';
import type { Judge } from '../../judges/judge.js';
import type { EncodingCounts } from '../../text/encoding.js';
import type { Loaded } from './data.js';
import { defaultsOf } from '../config/resolve.js';
import { count, table } from '../output.js';
import type { RunModels } from './models.js';
import { type Plans, batchOf } from './plan.js';
import type { Prepared } from './prepare.js';

const reasons = (counts: EncodingCounts): string[] => [
  ...Object.entries(counts.dropped)
    .filter(([, n]) => n > 0)
    .map(([reason, n]) => `${count(n)} left out (${reason.replaceAll('_', ' ')})`),
  ...(counts.truncated > 0 ? [`${count(counts.truncated)} truncated`] : []),
  ...(counts.boundaryMerges > 0 ? [`${count(counts.boundaryMerges)} boundary merges`] : []),
  ...(counts.extraBos > 0 ? [`${count(counts.extraBos)} extra BOS taken out`] : []),
  ...(counts.templateFallbacks > 0
    ? [`${count(counts.templateFallbacks)} template fallbacks`]
    : []),
];

const rowsOf = ({ items, counts }: Loaded<unknown>, what: string): string[] => [
  `${count(items.length)} ${what}`,
  ...(counts.skipped > 0 ? [`${count(counts.skipped)} bad rows skipped`] : []),
  ...(counts.ties > 0 ? [`${count(counts.ties)} ties left out`] : []),
  ...(counts.unlabelled > 0 ? [`${count(counts.unlabelled)} unlabelled left out`] : []),
];

export const dataLine = ({
  loaded,
  prompts,
  encoder,
  heldOut,
  heldOutPrompts,
}: Prepared): string => {
  const kind = loaded?.items[0]?.kind ?? '';
  const parts = [
    ...(loaded ? rowsOf(loaded, `${kind}s`) : []),
    ...(prompts ? rowsOf(prompts, 'prompts') : []),
    ...(loaded || prompts ? [] : ['as a stream']),
    ...reasons(encoder.counts),
    ...(heldOut ? [`${count(heldOut.length)} held out`] : []),
    ...(heldOutPrompts ? [`${count(heldOutPrompts.length)} held out`] : []),
  ];
  return parts.join(', ');
};

const optionsLine = ({ config }: Prepared): string =>
  Object.entries(config.options)
    .filter(([, value]) => value !== null)
    .map(([key, value]) => `${key} ${JSON.stringify(value)?.replaceAll('"', '')}`)
    .join(', ');

const sourceLine = ({ config }: Prepared, judge: Judge | null): string => {
  const { command, settings } = config;
  if (command.source === 'dataset') return `dataset, ${settings.train_sampling_strategy} order`;
  if (settings.replay !== null) return `replay of ${settings.replay}, ${settings.replay_order}`;
  const every = settings.sync_every === 1 ? '' : `, copied every ${settings.sync_every} steps`;
  const samples = `${settings.num_generations} samples a prompt${every}`;
  return judge ? `${samples}, judged by ${judge.name}` : `dataset, and ${samples}`;
};

const unitOf = ({ config, loaded }: Prepared): string => {
  if (config.command.source === 'on-policy' && config.settings.replay === null) return 'prompts';
  return loaded ? `${loaded.items[0]?.kind ?? 'example'}s` : 'examples';
};

interface Details {
  readonly plans: Plans;
  readonly judge: Judge | null;
  readonly fromStep: number;
}

/** The keys that were passed by, by reason. */
export const noteLines = ({ config }: Prepared): string[] => {
  const byReason = new Map<string, string[]>();
  for (const { key, reason } of config.notes) {
    byReason.set(reason, [...(byReason.get(reason) ?? []), key]);
  }
  return [...byReason].map(([reason, keys]) => `passed by: ${keys.join(', ')} (${reason})`);
};

const lengthNote = ({ config, checkpoint }: Prepared): string[] => {
  const { max_length: asked } = config.settings;
  const { maxPosition } = checkpoint.shape;
  const isDefault = asked === defaultsOf(config.command).max_length;
  if (asked === null || asked <= maxPosition || isDefault) return [];
  return [`max_length is ${asked}, but the model has ${maxPosition} positions: these hold.`];
};

export const notesOf = (prepared: Prepared): string[] => [
  ...noteLines(prepared),
  ...lengthNote(prepared),
];

export const header = (
  prepared: Prepared,
  { policy }: RunModels,
  { plans, judge, fromStep }: Details,
): string => {
  const { config, folder, checkpoint } = prepared;
  const batch = batchOf(config);
  const from = fromStep === 0 ? '' : `, going on after step ${fromStep}`;
  const rows = [
    [
      'model',
      `${basename(resolve(folder))}: ${policy.family}, ${count(checkpoint.parameters)} parameters, ${policy.dtype}`,
    ],
    ['data', dataLine(prepared)],
    ['source', sourceLine(prepared, judge)],
    ['objective', `${config.objective.name}: ${optionsLine(prepared)}`],
    ['steps', `${count(plans.steps)} of ${count(batch.step)} ${unitOf(prepared)}${from}`],
  ];
  return [config.command.title, table(rows, '  '), ...notesOf(prepared)].join('\n');
};
