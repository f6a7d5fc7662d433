// The safetensors reader and writer: what is valid is read exactly, everything else is refused.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { encodeHeader, openSafetensors } from '../../src/checkpoint/safetensors.js';
import { readTensor, writeSafetensors } from '../../src/checkpoint/tensor-data.js';
import { assertError, caught, goldenModels, temporaryFolder } from './helpers.js';
import { referenceTest } from '../helpers/reference-files.js';

/** A file from a header that may be anything, and `data` bytes after it. */
const fileOf = (header: unknown, data = 0): Buffer => {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([prefix, json, Buffer.alloc(data)]);
};

const entry = (shape: unknown, from: number, to: number, dtype: unknown = 'F32') => ({
  dtype,
  shape,
  data_offsets: [from, to],
});

const lengthPrefix = (length: bigint): Buffer => {
  const bytes = Buffer.alloc(64);
  bytes.writeBigUInt64LE(length);
  return bytes;
};

const bad: Readonly<Record<string, { bytes: Buffer; says: string | RegExp }>> = {
  'empty file': { bytes: Buffer.alloc(0), says: '0 bytes' },
  'half a length': { bytes: Buffer.alloc(5), says: '5 bytes' },
  'header longer than the file': { bytes: lengthPrefix(1000n), says: 'only 56 follow' },
  'header of 2^63 bytes': { bytes: lengthPrefix(2n ** 63n), says: 'at most 100000000' },
  'header of 100 MB and a byte': { bytes: lengthPrefix(100_000_001n), says: 'at most' },
  'empty header': { bytes: fileOf(''), says: 'does not begin with' },
  'not JSON': { bytes: fileOf('{"a": nope}'), says: 'not valid JSON' },
  'not UTF-8': {
    bytes: Buffer.concat([fileOf('').fill(3, 0, 1), Buffer.from([0x7b, 0xff, 0x7d])]),
    says: 'not valid JSON',
  },
  'an array': { bytes: fileOf('[]'), says: 'does not begin with' },
  'leading space': { bytes: fileOf(' {}'), says: 'does not begin with' },
  'deep nesting': { bytes: fileOf(`{"a":${'['.repeat(200_000)}`), says: 'not valid JSON' },
  'tensor is a number': { bytes: fileOf({ a: 3 }), says: 'tensor "a" is described by 3' },
  'tensor is null': { bytes: fileOf({ a: null }), says: 'tensor "a"' },
  'no dtype': { bytes: fileOf({ a: { shape: [1], data_offsets: [0, 4] } }, 4), says: 'absent' },
  'unknown dtype': { bytes: fileOf({ a: entry([1], 0, 4, 'F31') }, 4), says: 'dtype "F31"' },
  'dtype from a prototype': {
    bytes: fileOf({ a: entry([1], 0, 4, 'toString') }, 4),
    says: 'dtype "toString"',
  },
  'negative size': { bytes: fileOf({ a: entry([-1], 0, 4) }, 4), says: 'shape [-1]' },
  'fractional size': { bytes: fileOf({ a: entry([0.5, 2], 0, 4) }, 4), says: 'shape [0.5,2]' },
  'size as text': { bytes: fileOf({ a: entry(['1'], 0, 4) }, 4), says: 'shape ["1"]' },
  'shape is an object': { bytes: fileOf({ a: entry({ length: 1 }, 0, 4) }, 4), says: 'shape' },
  'size past 2^53': { bytes: fileOf({ a: entry([2 ** 53], 0, 4) }, 4), says: 'shape' },
  'overflowing product': {
    bytes: fileOf({ a: entry([2 ** 40, 2 ** 40], 0, 4) }, 4),
    says: 'does not fill its 4 bytes',
  },
  'product that wraps to 0 in 64 bits': {
    bytes: fileOf({ a: entry([2 ** 32, 2 ** 32], 0, 0) }),
    says: 'does not fill',
  },
  'rank 17': { bytes: fileOf({ a: entry(Array(17).fill(1), 0, 4) }, 4), says: 'at most 16' },
  'shape larger than the range': { bytes: fileOf({ a: entry([2], 0, 4) }, 4), says: '4 bytes' },
  'shape smaller than the range': { bytes: fileOf({ a: entry([1], 0, 8) }, 8), says: '8 bytes' },
  'one offset': { bytes: fileOf({ a: { ...entry([1], 0, 4), data_offsets: [0] } }), says: '[0]' },
  'reversed offsets': { bytes: fileOf({ a: entry([1], 4, 0) }, 4), says: 'data_offsets [4,0]' },
  'negative offset': { bytes: fileOf({ a: entry([1], -4, 0) }, 4), says: 'data_offsets' },
  truncated: { bytes: fileOf({ a: entry([4], 0, 16) }, 15), says: 'truncated' },
  'huge tensor': { bytes: fileOf({ a: entry([2 ** 40], 0, 2 ** 42) }, 4), says: 'truncated' },
  'two tensors in one place': {
    bytes: fileOf({ a: entry([1], 0, 4), b: entry([1], 0, 4) }, 4),
    says: 'overlaps',
  },
  overlap: { bytes: fileOf({ a: entry([2], 0, 8), b: entry([2], 4, 12) }, 12), says: 'overlaps' },
  hole: { bytes: fileOf({ a: entry([1], 0, 4), b: entry([1], 8, 12) }, 12), says: 'hole' },
  'hole at the start': { bytes: fileOf({ a: entry([1], 4, 8) }, 8), says: 'hole' },
  'bytes left over': { bytes: fileOf({ a: entry([1], 0, 4) }, 5), says: '1 bytes after the last' },
  'a tensor called __proto__': {
    bytes: fileOf('{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
    says: '"__proto__"',
  },
  'metadata is a list': { bytes: fileOf({ __metadata__: [] }), says: '__metadata__ is []' },
  'metadata is null': { bytes: fileOf({ __metadata__: null }), says: '__metadata__ is null' },
  'metadata holds a number': { bytes: fileOf({ __metadata__: { a: 1 } }), says: 'strings' },
  'metadata with __proto__': {
    bytes: fileOf('{"__metadata__":{"__proto__":"x"}}'),
    says: '__proto__',
  },
};

for (const [name, { bytes, says }] of Object.entries(bad)) {
  test(`refused: ${name}`, async (t) => {
    const path = join(await temporaryFolder(t), 'model.safetensors');
    await writeFile(path, bytes);
    assertError(t, await caught(() => openSafetensors(path)), 'CHECKPOINT_INVALID', path, says);
  });
}

test('a million and one tensors are refused', async (t) => {
  const path = join(await temporaryFolder(t), 'many.safetensors');
  const one = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}';
  const entries = Array.from({ length: 1_000_001 }, (_, i) => `"${i}":${one}`);
  await writeFile(path, fileOf(`{${entries.join(',')}}`));
  const error = await caught(() => openSafetensors(path));
  assertError(t, error, 'CHECKPOINT_INVALID', 'at most 1000000');
});

test('missing files, folders and devices are refused', async (t) => {
  const folder = await temporaryFolder(t);
  const missing = await caught(() => openSafetensors(join(folder, 'none')));
  assertError(t, missing, 'CHECKPOINT_NOT_FOUND', 'does not exist');
  assertError(t, await caught(() => openSafetensors(folder)), 'CHECKPOINT_INVALID', 'regular');
  assertError(t, await caught(() => openSafetensors('/dev/zero')), 'CHECKPOINT_INVALID', 'regular');
});

test('edge cases are read: no tensors, empty tensors, scalars, spaces at the end', async (t) => {
  const path = join(await temporaryFolder(t), 'edge.safetensors');
  await writeFile(path, fileOf('{}'));
  t.is((await openSafetensors(path)).tensors.size, 0);

  const header = { empty: entry([0, 2 ** 52, 2 ** 52], 0, 0), scalar: entry([], 0, 4) };
  await writeFile(path, fileOf(`${JSON.stringify(header)}   `, 4));
  const file = await openSafetensors(path);
  t.deepEqual([...file.tensors.keys()], ['empty', 'scalar']);
  t.is((await readTensor(file, 'empty')).length, 0);
  t.deepEqual(await readTensor(file, 'scalar'), Float32Array.of(0));
});

test('what is written is read back, bit for bit', async (t) => {
  const path = join(await temporaryFolder(t), 'out.safetensors');
  const data = Float32Array.of(0, -0, 1.5, NaN, -Infinity, 1e-45);
  const ids = Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1);
  const tensors = { 'a.b': { shape: [2, 3], data }, 'ids "é"': { shape: [3], data: ids } };
  await writeSafetensors(path, tensors, { note: 'ü' });
  const file = await openSafetensors(path);
  t.deepEqual(file.metadata, { note: 'ü' });
  const back = await readTensor(file, 'a.b');
  t.deepEqual(new Uint32Array(back.buffer), new Uint32Array(data.buffer));
  t.deepEqual(await readTensor(file, 'ids "é"'), ids);
  const headerLength = (await readFile(path)).readBigUInt64LE();
  t.is(headerLength % 8n, 0n, 'tensors begin at a multiple of 8 bytes');
});

test('a name given twice or a shape of other data cannot be written', async (t) => {
  const twice = [
    { name: 'a', dtype: 'F32', shape: [1] },
    { name: 'a', dtype: 'F32', shape: [1] },
  ] as const;
  assertError(t, await caught(() => encodeHeader(twice)), 'OPTION_INVALID', '"a"');
  const path = join(await temporaryFolder(t), 'out.safetensors');
  const wrong = { a: { shape: [3], data: Float32Array.of(1) } };
  const error = await caught(() => writeSafetensors(path, wrong));
  assertError(t, error, 'OPTION_INVALID', '"a"', '[3]');
  assertError(t, await caught(() => openSafetensors(path)), 'CHECKPOINT_NOT_FOUND');
});

test('bf16 and f16 widen exactly', async (t) => {
  // Bits and values of IEEE half and bfloat16: 1, -2, smallest and largest subnormal half, largest
  // half, infinities, zero with its sign.
  const half: [number, number][] = [
    [0x3c00, 1],
    [0xc000, -2],
    [0x0001, 2 ** -24],
    [0x03ff, 1023 * 2 ** -24],
    [0x7bff, 65504],
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
    [0x8000, -0],
    [0x7e00, NaN],
  ];
  const bfloat: [number, number][] = [
    [0x3f80, 1],
    [0xc000, -2],
    [0x0001, 2 ** -133],
    [0x7f7f, 255 * 2 ** 120],
    [0xff80, -Infinity],
    [0x8000, -0],
    [0x7fc0, NaN],
  ];
  const path = join(await temporaryFolder(t), 'halves.safetensors');
  for (const [dtype, pairs] of [
    ['F16', half],
    ['BF16', bfloat],
  ] as const) {
    const bits = Uint16Array.from(pairs, ([pattern]) => pattern);
    const header = fileOf({ x: entry([pairs.length], 0, bits.byteLength, dtype) });
    await writeFile(path, Buffer.concat([header, Buffer.from(bits.buffer)]));
    const values = await readTensor(await openSafetensors(path), 'x');
    t.deepEqual(
      [...values],
      pairs.map(([, value]) => value),
      dtype,
    );
  }
});

test('readTensor refuses what it cannot give', async (t) => {
  const path = join(await temporaryFolder(t), 'x.safetensors');
  await writeFile(path, fileOf({ x: entry([1], 0, 8, 'F64') }, 8));
  const file = await openSafetensors(path);
  assertError(t, await caught(() => readTensor(file, 'x')), 'CHECKPOINT_INVALID', 'F64');
  assertError(t, await caught(() => readTensor(file, 'y')), 'CHECKPOINT_INVALID', '"y"');
});

referenceTest('every reference file is read to its last tensor', async (t) => {
  for (const folder of await goldenModels()) {
    for (const name of ['model.safetensors', 'expected.safetensors']) {
      const file = await openSafetensors(join(folder, name));
      t.true(file.tensors.size > 0);
      const last = [...file.tensors.keys()].at(-1) ?? '';
      const values: ArrayLike<number> = await readTensor(file, last);
      t.true(Array.from(values).every(Number.isFinite), `${folder} ${last}`);
    }
  }
});
