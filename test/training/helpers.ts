// Small data, sources and recorders for the tests of training.
import type { ExecutionContext } from 'ava';
import type { LanguageModel } from '../../src/engine/model.js';
import type { CheckpointParts, Recorder, TrainState, TrainStep } from '../../src/training/run.js';
import { type TrainOptions } from '../../src/training/options.js';
import { train } from '../../src/training/train.js';
import type { Example } from '../../src/text/example.js';
import { randomNumbers } from '../checkpoint/helpers.js';
import { odd } from '../helpers/models.js';

const vocabulary = 17;

const tokensFrom = (random: () => number, least: number, most: number): Int32Array => {
  const length = least + Math.floor(random() * (most - least + 1));
  return Int32Array.from({ length }, () => Math.floor(random() * vocabulary));
};

interface DataOptions {
  readonly seed?: number;
  /** Of each response; different lengths by default. */
  readonly length?: number;
}

const responsesOf = (random: () => number, count: number, length?: number) =>
  Array.from({ length: count }, () => ({
    tokens: tokensFrom(random, length ?? 1, length ?? 12),
  }));

/** Random preference pairs of the vocabulary of 17. */
export const somePairs = (count: number, { seed = 1, length }: DataOptions = {}): Example[] => {
  const random = randomNumbers(seed);
  return Array.from({ length: count }, (_, i) => ({
    kind: 'pair',
    prompt: tokensFrom(random, 1, 6),
    responses: responsesOf(random, 2, length),
    origin: `pairs:${i + 1}`,
  }));
};

export const someCompletions = (
  count: number,
  { seed = 2, length }: DataOptions = {},
): Example[] => {
  const random = randomNumbers(seed);
  return Array.from({ length: count }, (_, i) => ({
    kind: 'completion',
    prompt: tokensFrom(random, 1, 6),
    responses: responsesOf(random, 1, length),
    label: i % 3 !== 0,
    origin: `completions:${i + 1}`,
  }));
};

/** A trainable model of 17 tokens with spread-out probabilities; the same one for one seed. */
export const tiny = (t: ExecutionContext, seed = 1): Promise<LanguageModel> =>
  odd(t, 'llama', { seed });

export const runOf = async (options: TrainOptions): Promise<TrainStep[]> => {
  const steps: TrainStep[] = [];
  for await (const step of train(options)) steps.push(step);
  return steps;
};

/** Without what the clock says. */
export const timeless = (steps: readonly TrainStep[]): Omit<TrainStep, 'seconds'>[] =>
  steps.map(({ seconds: _, ...rest }) => rest);

/** Keeps what it is told, and where asked to, calls `save`. */
export class MemoryRecorder implements Recorder {
  readonly steps: TrainStep[] = [];
  readonly evaluations: { step: number; metrics: Readonly<Record<string, number>> }[] = [];
  readonly states: TrainState[] = [];
  manifest: Readonly<Record<string, unknown>> | null = null;
  completed: boolean | null = null;
  readonly #save: (parts: CheckpointParts) => Promise<void>;

  constructor(save: (parts: CheckpointParts) => Promise<void> = () => Promise.resolve()) {
    this.#save = save;
  }

  begin(manifest: Readonly<Record<string, unknown>>): Promise<void> {
    this.manifest = manifest;
    return Promise.resolve();
  }

  logStep(step: TrainStep): Promise<void> {
    this.steps.push(step);
    return Promise.resolve();
  }

  logEvaluation(step: number, metrics: Readonly<Record<string, number>>): Promise<void> {
    this.evaluations.push({ step, metrics });
    return Promise.resolve();
  }

  async saveCheckpoint(parts: CheckpointParts): Promise<void> {
    // Through text, as a checkpoint's file does it.
    this.states.push(JSON.parse(JSON.stringify(parts.state)) as TrainState);
    await this.#save(parts);
  }

  restore(): Promise<null> {
    return Promise.resolve(null);
  }

  end(completed: boolean): Promise<void> {
    this.completed = completed;
    return Promise.resolve();
  }
}
