// What is measured when the command line does not say: steps that two cores make in seconds, or steps
// that fill a GPU.
import type { Device } from '../src/index.js';
import type { Work } from './flops.js';

export interface Defaults {
  readonly models: string;
  readonly works: string;
  readonly dtype: string;
  /** Of one model, by its name. */
  readonly passTokens: (model: string) => number;
  readonly batch: (model: string, kind: Work['kind']) => number;
  readonly length: number;
  /** Of a generation. */
  readonly prompt: number;
  readonly newTokens: number;
}

const onCpu: Defaults = {
  models: 'stories15m,smol135m',
  works: 'train,score,generate,dpo32,dpo192',
  dtype: 'bfloat16,float32',
  // Activations small beside the model's own memory: a third of it for stories15m, a twentieth for
  // smol135m.
  passTokens: (model) => ({ stories15m: 2048, smol135m: 256 })[model] ?? 1024,
  batch: (model) => (model === 'stories15m' ? 16 : 4),
  length: 256,
  prompt: 32,
  newTokens: 64,
};

// Steps of 65,536 tokens in sequences of 1024; 256 sequences at once with 512 tokens on average
// when new ones are drawn.
const onGpu: Defaults = {
  models: 'smol135m,smol360m,qwen05b,qwen15b',
  works: 'train,score,generate,dpo128,dpo512',
  dtype: 'bfloat16',
  // Activations of 16,384 tokens are 16 GB for 0.5B parameters.
  passTokens: () => 16_384,
  batch: (_, kind) => ({ train: 64, score: 64, generate: 256, dpo: 32 })[kind],
  length: 1024,
  prompt: 384,
  newTokens: 256,
};

export const defaultsOf = (device: Device): Defaults => (device === 'cpu' ? onCpu : onGpu);
