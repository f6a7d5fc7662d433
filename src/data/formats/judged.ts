// Sets of two responses with a judgement beside them: scores, the number of the better one, votes.
import { has, numberAt, optionalTextAt, textAt } from './fields.js';
import type { Draft, Format, FormatRow, ParsedRow } from './format.js';
import { dataError, wrongValue } from '../row.js';
import { instructionText } from './instruction.js';
import { hasMarkers, splitAtMarker } from './pairs.js';

const ordered = (prompt: string, better: string, worse: string): Draft => ({
  kind: 'preference',
  prompt,
  chosen: better,
  rejected: worse,
});

/** 1: the first is better, 2: the second, 0: neither. */
const judged = (prompt: string, first: string, second: string, better: 0 | 1 | 2): ParsedRow => {
  if (better === 0) return { drafts: [], ties: 1 };
  return {
    drafts: [better === 1 ? ordered(prompt, first, second) : ordered(prompt, second, first)],
  };
};

const choiceAt = (row: FormatRow, key: string): 0 | 1 | 2 => {
  const choice = numberAt(row, key);
  if (choice === 0 || choice === 1 || choice === 2) return choice;
  throw wrongValue(row.place, key, row.value[key], '1, 2 or 0 (a tie)');
};

export const llmbar: Format = {
  name: 'llmbar',
  kind: 'preference',
  about: 'input, output_1, output_2, label 1 or 2 (LLMBar; 0 is a tie)',
  matches: (value) => has(value, 'input', 'output_1', 'output_2', 'label'),
  parse: (row) =>
    judged(
      textAt(row, 'input'),
      textAt(row, 'output_1'),
      textAt(row, 'output_2'),
      choiceAt(row, 'label'),
    ),
};

/** The choice of more than half of the votes; 0, a tie, where there is none. */
export const majority = (votes: readonly (0 | 1 | 2)[]): 0 | 1 | 2 => {
  const most = ([1, 2] as const).find(
    (choice) => votes.filter((vote) => vote === choice).length * 2 > votes.length,
  );
  return most ?? 0;
};

// A spreadsheet has turned answers that are the single word True or False into truth values.
const responseAt = (row: FormatRow, key: string): string => {
  const value = row.value[key];
  if (typeof value !== 'boolean') return textAt(row, key);
  return value ? 'True' : 'False';
};

export const pandalm: Format = {
  name: 'pandalm',
  kind: 'preference',
  about:
    'instruction, input, response1, response2, annotator1 … (PandaLM): the majority of the ' +
    'annotators decides; no majority, or one for 0, is a tie',
  matches: (value) => has(value, 'instruction', 'response1', 'response2', 'annotator1'),
  parse: (row) => {
    const annotators = Object.keys(row.value).filter((key) => /^annotator\d+$/.test(key));
    const votes = annotators.map((key) => choiceAt(row, key));
    const [first, second] = [responseAt(row, 'response1'), responseAt(row, 'response2')];
    return judged(instructionText(row), first, second, majority(votes));
  },
};

const choices: ReadonlyMap<string, 0 | 1 | 2> = new Map([
  ['ours', 1],
  ['reference', 2],
  ['tie', 0],
]);

export const tldrJudged: Format = {
  name: 'tldr-judged',
  kind: 'preference',
  about:
    'query, postprocessed_response, reference_responses, preferred "ours" or "reference" ' +
    '(TL;DR summaries; rows without a judgement are left out)',
  matches: (value) =>
    has(value, 'query', 'postprocessed_response', 'reference_responses', 'preferred'),
  parse: (row) => {
    const preferred = optionalTextAt(row, 'preferred');
    if (preferred === '') return { drafts: [], unlabelled: 1 };
    const choice = choices.get(preferred);
    if (choice === undefined) {
      throw wrongValue(row.place, 'preferred', preferred, '"ours", "reference" or "tie"');
    }
    const [ours, reference] = ['postprocessed_response', 'reference_responses'];
    return judged(textAt(row, 'query'), textAt(row, ours), textAt(row, reference), choice);
  },
};

/** Every two of the items, the better first; those that are equal are counted. */
export const rankedPairs = <T>(
  items: readonly { readonly item: T; readonly score: number }[],
): { readonly pairs: readonly (readonly [better: T, worse: T])[]; readonly ties: number } => {
  const pairs: (readonly [T, T])[] = [];
  let ties = 0;
  for (const [i, a] of items.entries()) {
    for (const b of items.slice(i + 1)) {
      if (a.score === b.score) ++ties;
      else pairs.push(a.score > b.score ? [a.item, b.item] : [b.item, a.item]);
    }
  }
  return { pairs, ties };
};

const listAt = (row: FormatRow, key: string, type: 'string' | 'number'): unknown[] => {
  const found = row.value[key];
  if (Array.isArray(found) && found.length > 1 && found.every((item) => typeof item === type)) {
    return found;
  }
  throw wrongValue(row.place, key, found, `a list of two or more ${type}s`);
};

export const scoredTexts: Format = {
  name: 'scored-texts',
  kind: 'preference',
  about:
    'text [a, b, …], score [1, 0, …]: whole texts with "\\n\\nHuman:" and "\\n\\nAssistant:" (DSP); ' +
    'every two of different score are a pair',
  matches: (value) => Array.isArray(value.text) && Array.isArray(value.score),
  parse: (row) => {
    const texts = listAt(row, 'text', 'string') as string[];
    const scores = listAt(row, 'score', 'number') as number[];
    if (texts.length !== scores.length) {
      const found = `there are ${texts.length} texts and ${scores.length} scores`;
      throw dataError(row.place, found, 'Each text needs one score.');
    }
    const unmarked = texts.findIndex((item) => !hasMarkers(item));
    if (unmarked >= 0) {
      const expected = 'text with "\\n\\nHuman:" and "\\n\\nAssistant:"';
      throw wrongValue(row.place, `text[${unmarked}]`, texts[unmarked], expected);
    }
    const { pairs, ties } = rankedPairs(texts.map((item, i) => ({ item, score: scores[i]! })));
    return { drafts: pairs.map(([a, b]) => splitAtMarker(row.place, a, b)), ties };
  },
};
