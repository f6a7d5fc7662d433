// Responses drawn from an enumerable policy. A sequence is a function of its seed and stream, and
// of the probabilities: the inverse of the cumulative distribution at one uniform number a token.
import { random } from '../data/random.js';
import type { Generation, Prompt, SamplingOptions } from '../engine/generate.js';
import { AlignlabError } from '../errors.js';
import { requireWhole } from '../options.js';
import { type ResponseSpace, ended } from './space.js';

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

/** What acts; `maxBatch` and `decode` change no result. */
const known = ['samples', 'seed', 'temperature', 'maxNewTokens', 'maxBatch', 'decode', 'signal'];

const checkOptions = (options: SamplingOptions): void => {
  const { samples = 1, maxNewTokens = 64, temperature = 1, stopTokens = [] } = options;
  requireWhole('samples', samples);
  requireWhole('maxNewTokens', maxNewTokens);
  if (!(temperature >= 0 && temperature < Infinity)) {
    refuse(`temperature must be a number from 0 up, got ${String(temperature)}.`);
  }
  if (stopTokens.length > 0) refuse('The responses of an enumerable policy end of themselves.');
  const stray = Object.entries(options).find(
    ([name, value]) => value !== undefined && name !== 'stopTokens' && !known.includes(name),
  );
  if (stray) refuse(`An enumerable policy takes no "${stray[0]}": it has ${known.join(', ')}.`);
};

/** Log-probabilities after temperature; 0 leaves the likeliest token alone. */
const processed = (own: Float64Array, temperature: number): Float64Array => {
  if (temperature === 1) return own;
  const top = Math.max(...own);
  if (temperature === 0) {
    const best = own.indexOf(top);
    return own.map((_, i) => (i === best ? 0 : -Infinity));
  }
  const scaled = own.map((log) => (log - top) / temperature);
  const total = Math.log(scaled.reduce((sum, log) => sum + Math.exp(log), 0));
  return scaled.map((log) => log - total);
};

const choose = (logProbs: Float64Array, uniform: number): number => {
  let left = uniform;
  for (let i = 0; i < logProbs.length; i += 1) {
    left -= Math.exp(logProbs[i]!);
    if (left < 0) return i;
  }
  // Rounding of the sum may leave nothing chosen.
  return logProbs.findLastIndex((log) => log > -Infinity);
};

interface Drawing {
  readonly space: ResponseSpace;
  /** Log-probabilities of a state's edges after a prompt. */
  readonly at: (prompt: number, state: number) => Float64Array;
}

const streamOf = ({ seed = 0 }: SamplingOptions, index: number) =>
  seed instanceof BigUint64Array
    ? random(seed[index]!, 'response')
    : random(seed, 'response', index);

const drawOne = (
  { space, at }: Drawing,
  prompt: number,
  options: SamplingOptions,
  index: number,
): Pick<Generation, 'tokens' | 'logProbs' | 'processedLogProbs' | 'finishReason'> => {
  const { temperature = 1, maxNewTokens = 64 } = options;
  const stream = streamOf(options, index);
  const [tokens, logProbs, drawnFrom]: [number[], number[], number[]] = [[], [], []];
  let state = 0;
  while (state !== ended && tokens.length < maxNewTokens) {
    const own = at(prompt, state);
    const used = processed(own, temperature);
    const chosen = choose(used, stream.uniform());
    const edge = space.firstEdge[state]! + chosen;
    tokens.push(space.tokens[edge]!);
    logProbs.push(own[chosen]!);
    drawnFrom.push(used[chosen]!);
    state = space.next[edge]!;
  }
  return {
    tokens: Int32Array.from(tokens),
    logProbs: Float32Array.from(logProbs),
    processedLogProbs: Float32Array.from(drawnFrom),
    finishReason: state === ended ? 'stop' : 'length',
  };
};

/** In the order of prompts, then samples. */
export const drawAll = (
  drawing: Drawing,
  prompts: readonly Prompt[],
  options: SamplingOptions,
): Generation[] => {
  checkOptions(options);
  const { samples = 1, seed } = options;
  if (seed instanceof BigUint64Array && seed.length !== prompts.length * samples) {
    refuse(`There are ${seed.length} seeds for ${prompts.length * samples} sequences.`);
  }
  return prompts.flatMap((tokens, prompt) => {
    const own = drawing.space.promptIndex(tokens);
    return Array.from({ length: samples }, (_, sample) => ({
      prompt,
      sample,
      ...drawOne(drawing, own, options, prompt * samples + sample),
    }));
  });
};
