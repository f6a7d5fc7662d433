// Files of the user's own in the place of a world: what a recipe says of them, and what they are.
import { readCheckpoint, type Checkpoint } from '../../checkpoint/checkpoint.js';
import type { JsonObject } from '../../checkpoint/json.js';
import type { Dataset } from '../../data/dataset.js';
import { type FileSpec, openDataset } from '../../data/open.js';
import { shuffled } from '../../data/random.js';
import { AlignlabError } from '../../errors.js';
import { requireWhole } from '../../options.js';
import { ChatTemplate } from '../../text/chat-template.js';
import {
  ComparisonEncoder,
  type ComparisonSeparators,
  defaultSeparators,
} from '../../text/comparison.js';
import { spoken } from '../../text/dialogue.js';
import { Encoder } from '../../text/encoding.js';
import type { Message, Text, TextRecord } from '../../text/example.js';
import { Tokenizer } from '../../text/tokenizer.js';
import type { PreferenceRecord } from '../../worlds/index.js';
import { worldSeed, worldSeparators } from './task.js';

export interface RecipeFiles {
  /** Folder of a checkpoint with its tokenizer: every model of the study is made of it. */
  readonly model: string;
  /** Pairs with labels: a path, or a file's specification as in the training commands. */
  readonly preferences: string | FileSpec;
  /**
   * Tokens of a comparison at most: a prompt, two responses, and what stands between them. Default:
   * what the checkpoint takes, at most 1024.
   */
  readonly maxTokens?: number;
}

/** Files that are open: how their text becomes tokens. */
export interface OpenFiles {
  readonly checkpoint: Checkpoint;
  readonly dataset: Dataset;
  readonly encoder: Encoder;
  readonly comparisons: ComparisonEncoder;
  readonly stopTokens: readonly number[];
  /** As text that the encoder takes: dialogues through the template of the checkpoint. */
  flat(record: PreferenceRecord): PreferenceRecord;
  /** Everything that decides what the pairs become, besides their number. */
  readonly settings: JsonObject;
}

const usualTokens = 1024;

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

const isDialogue = ({ prompt, chosen, rejected }: PreferenceRecord): boolean =>
  [prompt, chosen, rejected].some((text) => typeof text !== 'string');

const openPairs = async (preferences: RecipeFiles['preferences']) => {
  const dataset = await openDataset(preferences);
  let first: TextRecord | undefined;
  for await (const record of dataset) {
    first = record;
    break;
  }
  if (first?.kind === 'preference') return { dataset, first };
  throw new AlignlabError(
    'DATA_INVALID',
    `${first?.origin ?? 'The file'} is a row of the kind "${first?.kind ?? dataset.kind}", and the ` +
      'study needs pairs. Give rows with prompt, chosen and rejected.',
  );
};

const languageModel = async (folder: string): Promise<Checkpoint> => {
  const checkpoint = await readCheckpoint(folder);
  if (checkpoint.shape.scalarOutputs === 0) return checkpoint;
  return refuse(`${folder} is a reward model, and writes no text. Give a language model.`);
};

/** A response's last token: where the template closes a turn by one at which the model stops, that. */
const endOf = (
  tokenizer: Tokenizer,
  template: ChatTemplate | null,
  stops: readonly number[],
  first: PreferenceRecord,
): string | undefined => {
  const usual = tokenizer.special('eos')?.id ?? stops[0];
  if (usual === undefined) return undefined;
  const text = (id: number): string => tokenizer.decode([id], { skipSpecialTokens: false });
  const known = [...stops, usual];
  const encoder = new Encoder(tokenizer, {
    chatTemplate: template,
    templateFallback: 'last-turn',
    eosToken: text(usual),
  });
  const tokens = encoder.encode(first).example?.responses[0]?.tokens;
  return text(tokens?.findLast((id) => known.includes(id)) ?? usual);
};

/**
 * Marks whose tokens tell parts apart: words where the vocabulary has them, else punctuation. Throws
 * OPTION_INVALID where it has neither.
 */
const comparisonsOf = (encoder: Encoder, maxLength: number, folder: string): ComparisonEncoder => {
  const telling = (separators: ComparisonSeparators): boolean => {
    try {
      const marks = Object.values(separators) as string[];
      const pieces = marks.map((mark) => encoder.encodeContinuation(mark));
      const texts = new Set(pieces.map((tokens) => encoder.decode(tokens).trim()));
      return texts.size === marks.length && !texts.has('');
    } catch {
      return false; // the vocabulary has no token for a part of it
    }
  };
  const separators = [defaultSeparators, worldSeparators].find(telling);
  if (separators) return new ComparisonEncoder(encoder, { separators, maxLength });
  return refuse(
    `The tokenizer of ${folder} has tokens neither for words such as "First response:" nor for ` +
      'marks such as "!!", by which a preference model tells two responses apart. Give another ' +
      'checkpoint.',
  );
};

/** A file's content decides, wherever it lies. */
const withoutPaths = (description: JsonObject): JsonObject =>
  JSON.parse(
    JSON.stringify(description, (key, value: unknown) => (key === 'path' ? undefined : value)),
  ) as JsonObject;

const turns = (text: Text): readonly Message[] =>
  typeof text === 'string' ? [{ role: 'user', content: text }] : text;

const tokensOf = ({ model, maxTokens }: RecipeFiles, { shape }: Checkpoint): number => {
  if (maxTokens === undefined) return Math.min(usualTokens, shape.maxPosition);
  requireWhole('maxTokens', maxTokens);
  if (maxTokens <= shape.maxPosition) return maxTokens;
  return refuse(
    `${model} takes ${shape.maxPosition} tokens, and maxTokens is ${maxTokens}. Give at most so many.`,
  );
};

const promptRoom = (
  comparisons: ComparisonEncoder,
  maxTokens: number,
  maxNewTokens: number,
): number => {
  const { head, orders } = comparisons.compare('', '', '');
  const fixed = head.length + orders[0].length;
  const room = maxTokens - fixed - 2 * maxNewTokens;
  if (room >= 1) return room;
  return refuse(
    `Comparisons of ${maxTokens} tokens have no room for a prompt beside two responses of ` +
      `${maxNewTokens} and ${fixed} tokens between them. Lower maxNewTokens (--max-new-tokens) to ` +
      `${Math.max(1, Math.floor((maxTokens - fixed) / 4))}, or take a checkpoint with more positions.`,
  );
};

/** Throws what is wrong with the files, OPTION_INVALID where their lengths leave no room. */
export const openTexts = async (files: RecipeFiles, maxNewTokens: number): Promise<OpenFiles> => {
  requireWhole('maxNewTokens', maxNewTokens);
  const checkpoint = await languageModel(files.model);
  const tokenizer = await Tokenizer.load(files.model);
  const { dataset, first } = await openPairs(files.preferences);
  const dialogue = isDialogue(first);
  const chatTemplate = dialogue ? await ChatTemplate.load(files.model) : null;
  const eosToken = endOf(tokenizer, chatTemplate, checkpoint.generation.eos, first);
  const ends = eosToken === undefined ? {} : { eosToken };
  // A template writes the tokens that it wants, as in transformers.
  const start = { ...ends, bos: dialogue ? 'never' : 'tokenizer' } as const;
  const maxTokens = tokensOf(files, checkpoint);
  const bare = new Encoder(tokenizer, start);
  const room = promptRoom(comparisonsOf(bare, maxTokens, files.model), maxTokens, maxNewTokens);
  const encoder = new Encoder(tokenizer, {
    ...start,
    maxPromptLength: room,
    maxCompletionLength: maxNewTokens,
    truncation: 'drop',
  });
  const templated = new Encoder(tokenizer, { ...ends, chatTemplate });
  const comparisons = comparisonsOf(encoder, maxTokens, files.model);
  const end = encoder.eos ? [encoder.eos.id] : [];
  return {
    checkpoint,
    dataset,
    encoder,
    comparisons,
    stopTokens: [...new Set([...end, ...checkpoint.generation.eos])],
    flat: (record) =>
      isDialogue(record)
        ? {
            ...record,
            prompt: templated.renderPrompt(turns(record.prompt), record.origin),
            chosen: spoken(record.chosen),
            rejected: spoken(record.rejected),
          }
        : record,
    settings: {
      data: withoutPaths(dataset.describe()),
      text: comparisons.describe(),
      template: chatTemplate?.hash ?? null,
    },
  };
};

export interface PairCounts {
  /** Pairs of the file, and of these, drawn at random, so many as were looked at. */
  readonly pairs: number;
  readonly seen: number;
  readonly kept: number;
  /** Why the others were not: longer than the limits, empty, the same twice, both responses equal. */
  readonly dropped: Readonly<Record<string, number>>;
}

export interface FoundPairs {
  readonly pairs: readonly PreferenceRecord[];
  readonly counts: PairCounts;
}

/**
 * So many pairs in random order, or fewer where there are no more. A pair that is too long is left
 * out: cut, it would not be what somebody chose between.
 */
export const readPairs = async (files: OpenFiles, wanted: number): Promise<FoundPairs> => {
  const records = await files.dataset.toArray();
  const pairs: PreferenceRecord[] = [];
  const dropped: Record<string, number> = {};
  const known = new Set<string>();
  let seen = 0;
  const reasonToDrop = (pair: PreferenceRecord): string | null => {
    const [chosen, rejected] = [spoken(pair.chosen), spoken(pair.rejected)];
    if (chosen === rejected) return 'equal_responses';
    const text = JSON.stringify([pair.prompt, ...[chosen, rejected].sort()]);
    if (known.has(text)) return 'repeated';
    known.add(text);
    const encoded = files.encoder.encode(pair);
    return encoded.example ? null : encoded.dropped;
  };
  for (const record of shuffled(records, worldSeed, 'files')) {
    if (pairs.length === wanted) break;
    if (record.kind !== 'preference') continue;
    seen += 1;
    const pair = files.flat(record);
    const reason = reasonToDrop(pair);
    if (reason === null) pairs.push(pair);
    else dropped[reason] = (dropped[reason] ?? 0) + 1;
  }
  return { pairs, counts: { pairs: records.length, seen, kept: pairs.length, dropped } };
};

const reasons: Readonly<Record<string, string>> = {
  prompt_too_long: 'with a longer prompt',
  completion_too_long: 'with a longer response',
  too_long: 'too long',
  empty_completion: 'with an empty response',
  empty_prompt: 'without a prompt',
  equal_responses: 'with equal responses',
  repeated: 'seen before',
};

/** In a sentence, for notes, errors and the report. */
export const toldCounts = ({ pairs, seen, kept, dropped }: PairCounts): string => {
  const left = Object.entries(dropped).map(([reason, n]) => `${n} ${reasons[reason] ?? reason}`);
  const out = left.length > 0 ? ` (left out: ${left.join(', ')})` : '';
  return `${seen} of ${pairs} pairs were looked at and ${kept} fit${out}`;
};
