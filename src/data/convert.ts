// Records of one kind as records of another.
import { AlignlabError } from '../errors.js';
import type { Text, TextRecord } from '../text/example.js';
import { contentHash } from './content-hash.js';
import { type Dataset, derived } from './dataset.js';
import { lastTurn } from './formats/index.js';

const part = (origin: string, name: string): string =>
  /#[\w-]+$/.test(origin) ? `${origin}-${name}` : `${origin}#${name}`;

const impossible = (dataset: Dataset, to: string): AlignlabError =>
  new AlignlabError(
    'DATA_INVALID',
    `Records of kind "${dataset.kind}" cannot be made into ${to}. Use data with the columns that ` +
      'are needed.',
  );

/** Each pair as two rows: the chosen response with label true, the rejected one with false. */
export const toUnpaired = (dataset: Dataset): Dataset => {
  if (dataset.kind === 'unpaired') return dataset;
  if (dataset.kind !== 'preference') throw impossible(dataset, 'completions with a label');
  return derived([dataset], {
    kind: 'unpaired',
    size: dataset.size === undefined ? undefined : 2 * dataset.size,
    description: { convert: 'unpaired' },
    async *iterate() {
      for await (const record of dataset) {
        if (record.kind !== 'preference') continue;
        const { origin, prompt, chosen, rejected } = record;
        const kind = 'unpaired';
        yield { kind, origin: part(origin, 'chosen'), prompt, completion: chosen, label: true };
        yield {
          kind,
          origin: part(origin, 'rejected'),
          prompt,
          completion: rejected,
          label: false,
        };
      }
    },
  });
};

export type CompletionTargets = 'chosen' | 'rejected' | 'both';

const completionsOf = (record: TextRecord, targets: CompletionTargets): TextRecord[] => {
  const { origin } = record;
  if (record.kind === 'preference') {
    const sides = targets === 'both' ? (['chosen', 'rejected'] as const) : [targets];
    return sides.map((side) => ({
      kind: 'completion',
      origin: targets === 'both' ? part(origin, side) : origin,
      prompt: record.prompt,
      completion: record[side],
    }));
  }
  if (record.kind === 'unpaired') {
    if (targets !== 'both' && record.label !== (targets === 'chosen')) return [];
    const { prompt, completion } = record;
    return [{ kind: 'completion', origin, prompt, completion }];
  }
  if (record.kind === 'text' && typeof record.text !== 'string') {
    return [{ kind: 'completion', origin, ...lastTurn(origin, record.text) }];
  }
  return [record];
};

/**
 * Prompts with a completion, as supervised fine-tuning takes them. Of pairs the targets; of labelled
 * completions those with label true (chosen) or false (rejected); of dialogues the last turn. Plain
 * texts are refused, since they do not say where a prompt ends.
 */
export const toCompletions = (dataset: Dataset, targets: CompletionTargets = 'chosen'): Dataset => {
  if (dataset.kind === 'completion') return dataset;
  if (dataset.kind === 'prompt') throw impossible(dataset, 'completions');
  return derived([dataset], {
    kind: 'completion',
    description: { convert: 'completion', targets },
    async *iterate() {
      for await (const record of dataset) {
        if (record.kind === 'text' && typeof record.text === 'string') {
          throw impossible(dataset, 'completions of prompts');
        }
        yield* completionsOf(record, targets);
      }
    },
  });
};

const promptOf = (record: TextRecord): Text =>
  record.kind === 'text'
    ? typeof record.text === 'string'
      ? record.text
      : lastTurn(record.origin, record.text).prompt
    : record.prompt;

/** The prompts alone, for sampling; `unique` keeps the first of equal ones. */
export const toPrompts = (
  dataset: Dataset,
  { unique = false }: { readonly unique?: boolean } = {},
): Dataset => {
  if (dataset.kind === 'prompt' && !unique) return dataset;
  return derived([dataset], {
    kind: 'prompt',
    size: unique ? undefined : dataset.size,
    description: { convert: 'prompt', unique },
    async *iterate() {
      const seen = new Set<string>();
      for await (const record of dataset) {
        const prompt = promptOf(record);
        const hash = unique ? contentHash(JSON.stringify(prompt)) : '';
        if (unique && seen.has(hash)) continue;
        seen.add(hash);
        const columns = record.kind === 'prompt' ? record.columns : {};
        yield { kind: 'prompt', origin: record.origin, prompt, columns };
      }
    },
  });
};
