// alignlab score: log-probabilities of given token sequences, one JSON line each.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import type { Segment } from '../../engine/batch.js';
import type { Dtype } from '../../engine/load.js';
import { LanguageModel } from '../../engine/model.js';
import { AlignlabError } from '../../errors.js';
import { Tokenizer } from '../../text/tokenizer.js';
import { checkpointFolder, number, print } from '../output.js';

interface Options {
  readonly model?: string;
  readonly tokens?: string;
  readonly text?: string;
  readonly dtype?: Dtype;
  readonly json?: boolean;
  readonly batchTokens: number;
}

interface Line {
  readonly number: number;
  readonly tokens: readonly number[];
}

const invalid = (file: string, line: number, found: string): AlignlabError =>
  new AlignlabError(
    'BATCH_INVALID',
    `${file}, line ${line}: ${found}. Each line is a JSON array of token ids, or an object with ` +
      'the key "tokens".',
  );

const parseLine = (file: string, line: number, text: string, vocabulary: number): Line => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(file, line, 'it is not JSON');
  }
  const tokens =
    typeof value === 'object' && value !== null && 'tokens' in value ? value.tokens : value;
  if (!Array.isArray(tokens)) throw invalid(file, line, 'there is no array of tokens');
  const bad: unknown = tokens.find((id) => !Number.isInteger(id));
  if (bad !== undefined) throw invalid(file, line, `${JSON.stringify(bad)} is not a token id`);
  const strange = (tokens as number[]).find((id) => id < 0 || id >= vocabulary);
  if (strange !== undefined) {
    throw new AlignlabError(
      'TOKEN_OUT_OF_RANGE',
      `${file}, line ${line}: token ${strange} is not in the vocabulary of ${vocabulary} tokens. ` +
        'Is the tokenizer the one of this checkpoint?',
    );
  }
  if (tokens.length === 0) throw invalid(file, line, 'the array is empty');
  return { number: line, tokens: tokens as number[] };
};

/** Batches of whole lines, as many as fit the token budget. */
async function* batchesOf(
  file: string,
  budget: number,
  vocabulary: number,
): AsyncGenerator<Line[]> {
  const input = createReadStream(file, 'utf8');
  let batch: Line[] = [];
  let tokens = 0;
  let line = 0;
  try {
    for await (const text of createInterface({ input, crlfDelay: Infinity })) {
      line += 1;
      if (text.trim() === '') continue;
      const next = parseLine(file, line, text, vocabulary);
      if (batch.length > 0 && tokens + next.tokens.length > budget) {
        yield batch;
        [batch, tokens] = [[], 0];
      }
      batch.push(next);
      tokens += next.tokens.length;
    }
  } catch (cause) {
    if (cause instanceof AlignlabError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AlignlabError('IO_FAILED', `Reading ${file} failed: ${reason}.`, { cause });
  }
  if (batch.length > 0) yield batch;
}

const scoreBatch = async (
  model: LanguageModel,
  lines: readonly Line[],
  json: boolean,
): Promise<void> => {
  const batch: Segment[] = lines.map(({ tokens }) => ({ tokens }));
  const scores = await model.score(batch, { entropy: true });
  lines.forEach((line, index) => {
    const logProbs = Array.from(scores.logProbsOf(index));
    const total = logProbs.reduce((sum, x) => sum + x, 0);
    if (json) {
      const entropies = Array.from(scores.entropiesOf(index));
      print(JSON.stringify({ line: line.number, logProb: total, logProbs, entropies }));
      return;
    }
    const perplexity = Math.exp(-total / Math.max(1, logProbs.length));
    print(
      `line ${line.number}: ${line.tokens.length} tokens, log-prob ${total.toFixed(4)}, ` +
        `perplexity ${perplexity.toPrecision(5)}`,
    );
  });
};

export const scoreCommand = new Command('score')
  .description('log-probabilities and entropies (natural log) of token sequences or a text')
  .argument('[checkpoint]', 'a Hugging Face folder')
  .option('--model <folder>', 'the same, as an option')
  .option('--tokens <file>', 'JSONL: an array of token ids a line, or {"tokens": [...]}')
  .option('--text <text>', 'score this text instead, with the tokenizer of the checkpoint')
  .option('--dtype <dtype>', 'f32 or bf16; default as the checkpoint')
  .option('--batch-tokens <n>', 'tokens in one pass; does not change results', number, 8192)
  .option('--json', 'one JSON object a line: line, logProb, logProbs, entropies')
  .action(async (argument: string | undefined, options: Options) => {
    const { tokens, text, dtype, json = false, batchTokens } = options;
    const folder = checkpointFolder(argument, options.model);
    if ((tokens === undefined) === (text === undefined)) {
      throw new AlignlabError('OPTION_INVALID', 'Give either --tokens FILE or --text TEXT.');
    }
    await using model = await LanguageModel.load(folder, {
      trainable: false,
      ...(dtype ? { dtype } : {}),
    });
    if (text !== undefined) {
      const tokenizer = await Tokenizer.load(folder);
      await scoreBatch(model, [{ number: 1, tokens: Array.from(tokenizer.encode(text)) }], json);
      return;
    }
    for await (const batch of batchesOf(tokens ?? '', batchTokens, model.shape.vocab)) {
      await scoreBatch(model, batch, json);
    }
  });
