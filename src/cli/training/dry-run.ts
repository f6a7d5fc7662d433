// --dry-run: what a run would do, without doing or writing any of it.
import { stringify } from 'yaml';
import { LanguageModel } from '../../engine/model.js';
import type { Example } from '../../text/example.js';
import { tokensOf } from '../../training/passes.js';
import type { ResolvedConfig } from '../config/resolve.js';
import { bytes, count, print, table } from '../output.js';
import { dtypeOf } from '../models.js';
import { dataLine, notesOf } from './header.js';
import { type Prepared, prepare } from './prepare.js';
import { recordedConfig } from './run.js';

const shownTokens = 60;

const spell = ({ encoder }: Prepared, tokens: Int32Array): string =>
  JSON.stringify(encoder.tokenizer.decode(tokens, { skipSpecialTokens: false }));

/** Ids, those that are trained in brackets. */
const ids = (tokens: Int32Array, trained: boolean): string => {
  const shown = Array.from(tokens.subarray(0, shownTokens), (id) =>
    trained ? `[${id}]` : `${id}`,
  );
  const more = tokens.length > shownTokens ? ` ... ${tokens.length} tokens` : '';
  return shown.join(' ') + more;
};

const names: Readonly<Record<Example['kind'], readonly string[]>> = {
  pair: ['chosen', 'rejected'],
  completion: ['response'],
  group: ['sample'],
};

/** Which responses the objective learns from; a scalar head is trained at their last tokens. */
const isTrained = ({ config }: Prepared, response: number): boolean => {
  const { name, options } = config.objective;
  if (name === 'bo2') return response === 0;
  if (name !== 'sft') return true;
  return options.targets === 'both' || (options.targets === 'rejected' ? 1 : 0) === response;
};

const describeExample = (prepared: Prepared, example: Example, index: number): string => {
  const { prompt, responses, kind, origin, label } = example;
  const { needs } = prepared.config.objective;
  const part = (name: string, tokens: Int32Array, trained: boolean): string =>
    `  ${name}: ${spell(prepared, tokens)}\n    ${ids(tokens, trained)}`;
  return [
    `example ${index + 1}, ${origin}${label === undefined ? '' : `, label ${label}`}`,
    part('prompt', prompt, needs.promptLogProbs === true),
    ...responses.map(({ tokens }, r) =>
      part(names[kind][r] ?? 'response', tokens, isTrained(prepared, r) && !needs.scores),
    ),
    ...(needs.scores ? ['  the score is read at the last token of each response'] : []),
  ].join('\n');
};

const quantile = (sorted: readonly number[], share: number): string =>
  count(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);

const lengthRow = (name: string, lengths: readonly number[]): string[] => {
  const sorted = [...lengths].sort((a, b) => a - b);
  return [name, ...[0, 0.5, 0.9, 0.99, 1].map((share) => quantile(sorted, share))];
};

const lengths = (examples: readonly Example[]): string => {
  const kind = examples[0]?.kind ?? 'completion';
  const roles = Array.from({ length: examples[0]?.responses.length ?? 0 }, (_, r) =>
    lengthRow(
      names[kind][r] ?? 'response',
      examples.map(({ responses }) => responses[r]?.tokens.length ?? 0),
    ),
  );
  const rows = [
    ['tokens', 'least', 'median', '90 %', '99 %', 'most'],
    lengthRow(
      'prompt',
      examples.map(({ prompt }) => prompt.length),
    ),
    ...roles,
  ];
  return table(rows, '  ');
};

const promptExamples = ({ prompts }: Prepared): Example[] =>
  (prompts?.items ?? []).map(({ tokens, origin = 'prompt' }) => ({
    kind: 'group',
    prompt: tokens,
    responses: [],
    origin,
  }));

/** Tokens of the largest pass: at least one example, at most the budget. */
const passTokens = ({ config, maxLength }: Prepared, examples: readonly Example[]): number => {
  const budget = config.settings.micro_batch_tokens ?? 8192;
  const { num_generations: samples, max_completion_length: limit } = config.settings;
  const isSampled = config.command.source !== 'dataset';
  const drawn = isSampled ? samples * (limit ?? 64) : 0;
  const largest = examples.reduce((most, example) => Math.max(most, tokensOf(example)), 0) + drawn;
  const step = examples.reduce((sum, example) => sum + tokensOf(example), 0) + drawn;
  return Math.max(1, Math.min(Math.max(budget, largest), step), Math.min(largest, maxLength));
};

const memory = async (prepared: Prepared, examples: readonly Example[]): Promise<string> => {
  const { config, folder } = prepared;
  const tokens = passTokens(prepared, examples);
  const dtype = dtypeOf(config.settings.dtype);
  const options = { tokens, ...(dtype ? { dtype } : {}) };
  const recompute = config.settings.gradient_checkpointing;
  const own = await LanguageModel.estimateMemory(folder, { ...options, recompute });
  const { needs } = config.objective;
  const frozen = needs.reference
    ? await LanguageModel.estimateMemory(folder, { ...options, trainable: false })
    : null;
  const critic = needs.values ? own.weights + own.gradients + own.moments + own.training : 0;
  const total = own.weights + own.gradients + own.moments + own.training + critic;
  const rows = [
    ['weights', bytes(own.weights)],
    ['gradients', bytes(own.gradients)],
    ['AdamW moments', bytes(own.moments)],
    [`a pass of ${count(tokens)} tokens`, bytes(own.training)],
    ...(frozen ? [['reference', bytes(frozen.weights)]] : []),
    ...(critic > 0 ? [['critic, of the same size', bytes(critic)]] : []),
    ['together', bytes(total + (frozen?.weights ?? 0))],
  ];
  return table(rows, '  ');
};

const sampleOf = async (prepared: Prepared): Promise<readonly Example[]> => {
  const { examples } = prepared;
  if (examples === null) return promptExamples(prepared);
  if (typeof examples !== 'function') return examples;
  const first: Example[] = [];
  for await (const example of examples()) if (first.push(example) >= 1000) break;
  return first;
};

/** Prints configuration, first examples, lengths and memory. Throws what prepare throws. */
export const dryRun = async (config: ResolvedConfig): Promise<void> => {
  const prepared = await prepare(config);
  const examples = await sampleOf(prepared);
  print(stringify(recordedConfig(config)).trimEnd());
  print('');
  for (const line of notesOf(prepared)) print(line);
  print('Examples as they are trained on; trained tokens in [brackets]:');
  for (const [index, example] of examples.slice(0, 2).entries()) {
    print(describeExample(prepared, example, index));
  }
  print(`\nData: ${dataLine(prepared)}`);
  print(lengths(examples));
  print('\nMemory, estimated:');
  print(await memory(prepared, examples));
  print('\nNothing was trained or written.');
};
