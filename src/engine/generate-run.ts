// One generation: the native call, and what listens to its tokens while it runs.
import {
  type Generation,
  type Prompt,
  type SamplingOptions,
  StopStringWatch,
  type TokenEvent,
  generationRequest,
  toGeneration,
  whole,
} from './generate.js';
import type { ModelHandle } from './handle.js';
import type { NativeModel, NativeOnTokens } from './native.js';

/** Calls that a running generation takes. */
interface Controls {
  interrupt(sequence: number): void;
  cancel(): void;
}

const idle: Controls = { interrupt: () => undefined, cancel: () => undefined };

export const runGeneration = async (
  handle: ModelHandle,
  prompts: readonly Prompt[],
  options: SamplingOptions,
  endTokens: readonly number[],
  other: NativeModel | undefined,
  emit?: (event: TokenEvent) => void,
): Promise<Generation[]> => {
  const { samples = 1, signal } = options;
  const maxBatch = whole('maxBatch', options.maxBatch ?? 64, 1);
  const watch = new StopStringWatch(options);
  const request = generationRequest(prompts, options, endTokens);
  signal?.throwIfAborted();
  if (prompts.length === 0) return [];
  let failure: { readonly cause: unknown } | undefined;
  let controls = idle;
  const onTokens: NativeOnTokens = (sequences, tokens, logProbs, processedLogProbs) => {
    if (failure) return;
    try {
      sequences.forEach((sequence, i) => {
        const token = tokens[i] ?? 0;
        const state = watch.active ? watch.push(sequence, token) : 'goes-on';
        if (state === 'ends') controls.interrupt(sequence);
        if (state === 'ended') return;
        emit?.({
          prompt: Math.floor(sequence / samples),
          sample: sequence % samples,
          token,
          logProb: logProbs[i] ?? 0,
          processedLogProb: processedLogProbs[i] ?? 0,
        });
      });
    } catch (cause) {
      // From the caller's decode or listener: the call stops and rejects with it.
      failure = { cause };
      controls.cancel();
    }
  };
  const listen = watch.active || emit ? onTokens : undefined;
  const outcome = handle.run((model) => {
    const call = model.generate(request, maxBatch, listen, other, options.mixture?.weight);
    controls = call;
    return call;
  }, signal);
  const sequences = await outcome.catch((error: unknown) => {
    throw failure ? failure.cause : error;
  });
  if (failure) throw failure.cause;
  return sequences.map((sequence, index) =>
    toGeneration(sequence, index, samples, watch.end(index)),
  );
};
