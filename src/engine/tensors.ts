// Tensors of checkpoint files as the byte ranges that native code reads and writes.
import type { WeightDtype } from '../checkpoint/safetensors.js';
import type { CheckpointTensor } from '../checkpoint/slots.js';
import { AlignlabError } from '../errors.js';
import type { NativeDtype, NativeRange } from './native.js';

const dtypes = { F32: 'f32', BF16: 'bf16', F16: 'f16' } as const;

export const nativeDtype = <D extends WeightDtype>(dtype: D): (typeof dtypes)[D] & NativeDtype =>
  dtypes[dtype];

/** A tensor and where it lies in a file. */
export interface Located extends CheckpointTensor {
  readonly file: string;
  readonly dtype: WeightDtype;
  readonly begin: number;
}

const slotIndex = (names: readonly string[]): ((tensor: CheckpointTensor) => number) => {
  const index = new Map(names.map((name, i) => [name, i]));
  return ({ name, slot }) => {
    const found = index.get(slot);
    if (found !== undefined) return found;
    throw new AlignlabError(
      'INTERNAL',
      `Tensor ${name} belongs to parameter ${slot}, which the engine lacks.`,
    );
  };
};

export const rangesOfFile = (
  tensors: readonly Located[],
  slotNames: readonly string[],
): NativeRange[] => {
  const slotOf = slotIndex(slotNames);
  return tensors.map((tensor) => ({
    name: tensor.name,
    path: tensor.file,
    begin: tensor.begin,
    dtype: nativeDtype(tensor.dtype),
    slot: slotOf(tensor),
    ...tensor.view,
  }));
};

/** For writing: the file's path is given to the call, and the order is that of the list. */
export const rangesToWrite = (
  tensors: readonly CheckpointTensor[],
  slotNames: readonly string[],
  dtype: WeightDtype,
): NativeRange[] =>
  rangesOfFile(
    tensors.map((tensor) => ({ ...tensor, file: '', dtype, begin: 0 })),
    slotNames,
  );
