// AdamW's settings, checked, and which parameters its weight decay leaves alone.
import { AlignlabError } from '../errors.js';
import type { CheckpointTensor, Slot } from '../checkpoint/slots.js';
import type { NativeAdamW } from './native.js';

export interface AdamWOptions {
  readonly learningRate: number;
  /** Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Decoupled (Loshchilov & Hutter 2019). Default 0. */
  readonly weightDecay?: number;
  /**
   * Which parameters do not decay: none of them, biases and norms (what transformers' Trainer
   * leaves out), or checkpoint names that match. Default 'biases-and-norms'.
   */
  readonly noDecay?: 'none' | 'biases-and-norms' | RegExp;
  /** Gradients are scaled down to this global norm; 0 for no clipping. Default 1. */
  readonly maxGradNorm?: number;
}

const inRange = (
  name: string,
  value: number,
  holds: (value: number) => boolean,
  allowed: string,
): number => {
  if (Number.isFinite(value) && holds(value)) return value;
  throw new AlignlabError('OPTION_INVALID', `${name} must be ${allowed}, got ${String(value)}.`);
};

/** One parameter of the engine may hold several tensors of the checkpoint (q, k, v): all or none. */
const decaysByPattern = (
  slot: Slot,
  tensors: readonly CheckpointTensor[],
  pattern: RegExp,
): boolean => {
  const parts = tensors.filter((tensor) => tensor.slot === slot.name);
  // search(), unlike test(), ignores a g flag's memory of the last match.
  const excluded = parts.filter(({ name }) => name.search(pattern) >= 0);
  if (excluded.length > 0 && excluded.length < parts.length) {
    const kept = parts.find((part) => !excluded.includes(part));
    throw new AlignlabError(
      'OPTION_INVALID',
      `noDecay ${String(pattern)} matches ${excluded[0]?.name ?? ''} but not ${kept?.name ?? ''}, ` +
        'which are one parameter in the engine. Write a pattern that takes both or neither.',
    );
  }
  return excluded.length === 0;
};

export const adamWSettings = (
  {
    learningRate,
    betas = [0.9, 0.999],
    epsilon = 1e-8,
    weightDecay = 0,
    noDecay = 'biases-and-norms',
    maxGradNorm = 1,
  }: AdamWOptions,
  slots: readonly Slot[],
  tensors: readonly CheckpointTensor[],
): NativeAdamW => {
  const beta = (name: string, value: number): number =>
    inRange(name, value, (b) => b >= 0 && b < 1, 'from 0 to below 1');
  const decays = (slot: Slot): boolean => {
    if (noDecay === 'none') return true;
    if (noDecay === 'biases-and-norms') return slot.kind !== 'vector';
    if (noDecay instanceof RegExp) return decaysByPattern(slot, tensors, noDecay);
    throw new AlignlabError(
      'OPTION_INVALID',
      `noDecay must be 'none', 'biases-and-norms' or a RegExp, got ${String(noDecay)}.`,
    );
  };
  return {
    learningRate: inRange('learningRate', learningRate, (lr) => lr >= 0, '0 or more'),
    beta1: beta('betas[0]', betas[0]),
    beta2: beta('betas[1]', betas[1]),
    epsilon: inRange('epsilon', epsilon, (e) => e > 0, 'above 0'),
    weightDecay: inRange('weightDecay', weightDecay, (w) => w >= 0, '0 or more'),
    maxGradNorm: inRange('maxGradNorm', maxGradNorm, (n) => n >= 0, '0 (off) or more'),
    decays: Uint8Array.from(slots, (slot) => Number(decays(slot))),
  };
};
