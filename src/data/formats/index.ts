// The list of formats, in the order in which they are tried: the first that a row's keys speak for.
import type { JsonObject } from '../../checkpoint/json.js';
import { AlignlabError } from '../../errors.js';
import { didYouMean } from '../../suggest.js';
import { dataError, missingKey } from '../row.js';
import {
  contextMessages,
  messages,
  prompt,
  promptCompletion,
  text,
  unpaired,
  unpairedMessages,
} from './completion.js';
import type { Format, FormatRow, ParsedRow } from './format.js';
import { isFilled } from './fields.js';
import { alpaca, alpacaUnpaired } from './instruction.js';
import { llmbar, pandalm, scoredTexts, tldrJudged } from './judged.js';
import { oasst } from './oasst.js';
import { conversational } from './pairs.js';
import {
  alpacaPreference,
  hhRlhf,
  implicitPreference,
  preference,
  sharegptPreference,
} from './preference.js';

export type { Format, ParsedRow } from './format.js';
export { lastTurn } from './completion.js';

export const formats: readonly Format[] = [
  oasst,
  scoredTexts,
  pandalm,
  llmbar,
  tldrJudged,
  preference,
  sharegptPreference,
  alpacaPreference,
  hhRlhf,
  implicitPreference,
  unpairedMessages,
  unpaired,
  alpacaUnpaired,
  promptCompletion,
  alpaca,
  contextMessages,
  prompt,
  messages,
  text,
];

export const formatNames = formats.map(({ name }) => name);

/** @throws OPTION_INVALID */
export const formatNamed = (name: string): Format => {
  const format = formats.find((known) => known.name === name);
  if (format) return format;
  throw new AlignlabError(
    'OPTION_INVALID',
    `There is no data format "${name}".${didYouMean(name, formatNames)} Known are: ` +
      `${formatNames.join(', ')}.`,
  );
};

const almost = (place: string, value: JsonObject): AlignlabError => {
  if ('completions' in value && 'labels' in value) {
    return dataError(place, 'it has stepwise labels, which no objective here uses', 'Use label.');
  }
  const { chosen, rejected } = value;
  if (typeof chosen === 'string' && typeof rejected === 'string') {
    return dataError(
      place,
      'there are "chosen" and "rejected" but no "prompt"',
      "Name its column with columns: { prompt: '...' }; or, if both texts start with the prompt, " +
        "pass format: 'implicit-preference' to take their longest common start. Answers that " +
        'start alike lose that start to the prompt.',
    );
  }
  if ('chosen' in value) return missingKey(place, 'rejected', value);
  if ('rejected' in value) return missingKey(place, 'chosen', value);
  return missingKey(place, 'completion' in value ? 'completion' : 'prompt', value);
};

/** @throws DATA_INVALID where the keys speak for no format. */
export const detectFormat = ({ place, value }: FormatRow): Format => {
  const format = formats.find((known) => known.matches(value));
  if (format) return format;
  const { code, message } = almost(place, value);
  throw new AlignlabError(
    code,
    `${message} The format is found by keys such as prompt; prompt, completion; prompt, chosen, ` +
      `rejected; messages; text. By name: ${formatNames.join(', ')}.`,
  );
};

const unsupported = ['images', 'image', 'videos', 'audio', 'tools'];

export interface ParseOptions {
  readonly format: Format;
  /** Plain texts become turns of user and assistant. */
  readonly conversational: boolean;
}

/** @throws DATA_INVALID with the place of the row. */
export const parseFormat = (row: FormatRow, options: ParseOptions): ParsedRow => {
  const extra = unsupported.find((key) => isFilled(row.value[key]));
  if (extra !== undefined) {
    throw dataError(
      row.place,
      `"${extra}" is filled in, which no model here can read`,
      "Remove the column, or leave such rows out with onBadRow: 'skip'.",
    );
  }
  const parsed = options.format.parse(row);
  if (!options.conversational) return parsed;
  return { ...parsed, drafts: parsed.drafts.map(conversational) };
};
