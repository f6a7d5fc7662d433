// The values of single tensors, for reference files and small exports. Model weights do not pass
// through here: native code reads the files.
import { open, rename, rm } from 'node:fs/promises';
import { AlignlabError, fromSystem } from '../errors.js';
import { type HeaderEntry, type SafetensorsFile, encodeHeader, readFully } from './safetensors.js';

/** f16 to f32, exact: subnormals are multiples of 2^-24. */
const widenHalf = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
};

const widenBfloat = (bits: Uint16Array): Float32Array => {
  const words = new Uint32Array(bits.length);
  bits.forEach((value, index) => {
    words[index] = (value << 16) >>> 0;
  });
  return new Float32Array(words.buffer);
};

const allocate = (bytes: number, what: string): Uint8Array => {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new AlignlabError(
      'OUT_OF_MEMORY',
      `Cannot allocate ${bytes} bytes for ${what}. Free memory or read a smaller tensor.`,
      { cause },
    );
  }
};

/** F32, BF16 and F16 come as Float32Array, I32 as Int32Array; other dtypes are refused. */
export const readTensor = async (
  file: SafetensorsFile,
  name: string,
): Promise<Float32Array | Int32Array> => {
  const entry = file.tensors.get(name);
  if (!entry) {
    throw new AlignlabError(
      'CHECKPOINT_INVALID',
      `${file.path} has no tensor "${name}". Check the name, or that it is the file you mean.`,
    );
  }
  const { dtype, begin, end } = entry;
  if (dtype !== 'F32' && dtype !== 'BF16' && dtype !== 'F16' && dtype !== 'I32') {
    throw new AlignlabError(
      'CHECKPOINT_INVALID',
      `${file.path}: tensor "${name}" is ${dtype}; only F32, BF16, F16 and I32 can be read. ` +
        'Convert it first.',
    );
  }
  const bytes = allocate(end - begin, `tensor "${name}" of ${file.path}`);
  try {
    await using handle = await open(file.path, 'r');
    await readFully(handle, file.path, bytes, begin);
  } catch (cause) {
    throw fromSystem(cause, `read tensor "${name}" of ${file.path}`);
  }
  if (dtype === 'F32') return new Float32Array(bytes.buffer);
  if (dtype === 'I32') return new Int32Array(bytes.buffer);
  const halves = new Uint16Array(bytes.buffer);
  return dtype === 'BF16' ? widenBfloat(halves) : Float32Array.from(halves, widenHalf);
};

export interface TensorData {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** Writes a small file: beside the target first, then renamed, so that it is whole or absent. */
export const writeSafetensors = async (
  path: string,
  tensors: Readonly<Record<string, TensorData>> | ReadonlyMap<string, TensorData>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> => {
  const named = [...(tensors instanceof Map ? tensors : Object.entries(tensors))] as [
    string,
    TensorData,
  ][];
  const entries: HeaderEntry[] = named.map(([name, { shape, data }]) => ({
    name,
    shape,
    dtype: data instanceof Float32Array ? 'F32' : 'I32',
  }));
  const { bytes, ranges } = encodeHeader(entries, metadata);
  named.forEach(([name, { data, shape }], index) => {
    const range = ranges[index];
    if (range && range.end - range.begin === data.byteLength) return;
    throw new AlignlabError(
      'OPTION_INVALID',
      `Tensor "${name}" has ${data.length} values but shape [${shape.join(', ')}]. ` +
        'Give the shape of the data.',
    );
  });
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    {
      await using file = await open(temporary, 'w');
      await file.writeFile(bytes);
      for (const [, { data }] of named) {
        await file.writeFile(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      }
      await file.sync();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw fromSystem(cause, `write ${path}`);
  }
};
