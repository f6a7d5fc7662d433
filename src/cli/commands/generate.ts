// alignlab generate: samples from a checkpoint, streamed as they come.
import { Command } from 'commander';
import type { Generation, SamplingOptions } from '../../engine/generate.js';
import type { Dtype } from '../../engine/load.js';
import { LanguageModel } from '../../engine/model.js';
import { AlignlabError } from '../../errors.js';
import { Tokenizer } from '../../text/tokenizer.js';
import { modelFolder } from '../models.js';
import { GrowingText, checkpointFolder, note, number, print } from '../output.js';

/** Options that generate() takes under the same name; each has a default here. */
type Sampling = Required<
  Pick<
    SamplingOptions,
    | 'samples'
    | 'maxNewTokens'
    | 'minNewTokens'
    | 'temperature'
    | 'topK'
    | 'topP'
    | 'minP'
    | 'repetitionPenalty'
    | 'presencePenalty'
    | 'frequencyPenalty'
  >
>;

interface Options extends Sampling {
  readonly seed: number;
  readonly model?: string;
  readonly prompt?: string;
  readonly promptTokens?: string;
  readonly stop?: string[];
  readonly dtype?: Dtype;
  readonly json?: boolean;
}

const promptOf = (options: Options, tokenizer: Tokenizer | null): Int32Array => {
  const { prompt, promptTokens } = options;
  if ((prompt === undefined) === (promptTokens === undefined)) {
    throw new AlignlabError('OPTION_INVALID', 'Give either --prompt TEXT or --prompt-tokens IDS.');
  }
  if (promptTokens !== undefined) return Int32Array.from(promptTokens.split(','), number);
  return tokenizer?.encode(prompt ?? '') ?? new Int32Array();
};

const samplingOf = (options: Options, tokenizer: Tokenizer | null): SamplingOptions => ({
  samples: options.samples,
  maxNewTokens: options.maxNewTokens,
  minNewTokens: options.minNewTokens,
  temperature: options.temperature,
  topK: options.topK,
  topP: options.topP,
  minP: options.minP,
  repetitionPenalty: options.repetitionPenalty,
  presencePenalty: options.presencePenalty,
  frequencyPenalty: options.frequencyPenalty,
  seed: options.seed,
  ...(options.stop && tokenizer
    ? { stopStrings: options.stop, decode: (ids: Int32Array) => tokenizer.decode(ids) }
    : {}),
});

const jsonLine = (generation: Generation, tokenizer: Tokenizer | null): string =>
  JSON.stringify({
    sample: generation.sample,
    ...(tokenizer ? { text: tokenizer.decode(generation.tokens) } : {}),
    finishReason: generation.finishReason,
    tokens: Array.from(generation.tokens),
    logProbs: Array.from(generation.logProbs),
  });

const run = async (
  model: LanguageModel,
  prompt: Int32Array,
  tokenizer: Tokenizer | null,
  sampling: SamplingOptions,
  options: Options,
): Promise<void> => {
  const start = performance.now();
  const stream = model.generateStream([prompt], sampling);
  const live =
    tokenizer && options.samples === 1 && !options.json
      ? new GrowingText((ids) => tokenizer.decode(ids))
      : null;
  if (live && options.prompt !== undefined) process.stdout.write(options.prompt);
  for await (const event of stream) live?.push(event.token);
  live?.end();
  if (live) print('');
  const generations = await stream.result;
  let tokens = 0;
  for (const generation of generations) {
    tokens += generation.tokens.length;
    if (options.json) print(jsonLine(generation, tokenizer));
    else if (!live) {
      const text = tokenizer?.decode(generation.tokens) ?? Array.from(generation.tokens).join(',');
      print(`[${generation.sample}] ${text}`);
    }
  }
  const seconds = (performance.now() - start) / 1000;
  note(`${tokens} tokens in ${seconds.toFixed(2)} s, ${(tokens / seconds).toFixed(0)} tokens/s`);
};

export const generateCommand = new Command('generate')
  .description('sample from a checkpoint')
  .argument('[checkpoint]', 'a Hugging Face folder, or a run folder')
  .option('--model <folder>', 'the same, as an option')
  .option('--prompt <text>', 'the text to continue')
  .option('--prompt-tokens <ids>', 'token ids to continue, separated by commas')
  .option('--samples <n>', 'continuations of the prompt', number, 1)
  .option('--max-new-tokens <n>', 'tokens to add at most', number, 128)
  .option('--min-new-tokens <n>', 'no stop token before this many', number, 0)
  .option('--temperature <t>', '0 is greedy', number, 1)
  .option('--top-k <k>', 'keep the k most probable tokens; 0 keeps all', number, 0)
  .option('--top-p <p>', 'keep the most probable tokens up to this mass', number, 1)
  .option('--min-p <p>', 'keep tokens this probable relative to the best', number, 0)
  .option('--repetition-penalty <x>', 'over prompt and response; 1 is off', number, 1)
  .option('--presence-penalty <x>', 'over the response', number, 0)
  .option('--frequency-penalty <x>', 'over the response, per occurrence', number, 0)
  .option('--stop <text...>', 'end at one of these texts')
  .option('--seed <n>', 'same seed, same text', number, 0)
  .option('--dtype <dtype>', 'f32 or bf16; default as the checkpoint')
  .option('--json', 'one JSON object a sample, with tokens and log-probs')
  .action(async (argument: string | undefined, options: Options) => {
    const folder = await modelFolder(checkpointFolder(argument, options.model));
    const needsText = options.promptTokens === undefined || options.stop !== undefined;
    const tokenizer = needsText ? await Tokenizer.load(folder) : null;
    const prompt = promptOf(options, tokenizer);
    await using model = await LanguageModel.load(folder, {
      trainable: false,
      ...(options.dtype ? { dtype: options.dtype } : {}),
    });
    await run(model, prompt, tokenizer, samplingOf(options, tokenizer), options);
  });
