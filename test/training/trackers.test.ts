// TensorBoard's event files, read back frame by frame; and every value of report_to.
import { readFile, readdir, writeFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { crc32c, maskedCrc32c } from '../../src/training/trackers/crc32c.js';
import { openTensorBoard } from '../../src/training/trackers/tensorboard.js';
import { checkReportTo } from '../../src/training/trackers/tracker.js';
import { assertError, caught, temporaryFolder } from '../checkpoint/helpers.js';

test('CRC-32C has the values of RFC 3720, B.4', (t) => {
  const of = (bytes: readonly number[]): string =>
    crc32c(Uint8Array.from(bytes)).toString(16).padStart(8, '0');
  const counting = Array.from({ length: 32 }, (_, i) => i);
  t.is(of(counting.map(() => 0)), '8a9136aa');
  t.is(of(counting.map(() => 0xff)), '62a8ab43');
  t.is(of(counting), '46dd794e');
  t.is(of([...counting].reverse()), '113fdb5c');
  t.is(crc32c(Buffer.from('123456789')), 0xe3069283);
});

test('the mask rotates right by 15 and adds a constant', (t) => {
  const word = 2n ** 32n;
  const crc = BigInt(crc32c(Buffer.from('123456789')));
  const rotated = (crc >> 15n) | ((crc << 17n) % word);
  t.is(BigInt(maskedCrc32c(Buffer.from('123456789'))), (rotated + 0xa282ead8n) % word);
});

/** A protocol buffer as a list of fields: numbers, or bytes. */
const fieldsOf = (bytes: Buffer): [number, number | Buffer][] => {
  const fields: [number, number | Buffer][] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const [field, wire] = [key >>> 3, key & 7];
    if (wire === 0) fields.push([field, varint()]);
    else if (wire === 1) fields.push([field, bytes.readDoubleLE((at += 8) - 8)]);
    else if (wire === 5) fields.push([field, bytes.readFloatLE((at += 4) - 4)]);
    else {
      const length = varint();
      fields.push([field, bytes.subarray(at, (at += length))]);
    }
  }
  return fields;
};

const framesOf = (file: Buffer): Buffer[] => {
  const frames: Buffer[] = [];
  for (let at = 0; at < file.length;) {
    const head = file.subarray(at, at + 8);
    const length = Number(head.readBigUInt64LE());
    const data = file.subarray(at + 12, at + 12 + length);
    if (file.readUInt32LE(at + 8) !== maskedCrc32c(head)) throw new Error('CRC of a length');
    if (file.readUInt32LE(at + 12 + length) !== maskedCrc32c(data)) throw new Error('CRC of data');
    frames.push(data);
    at += 16 + length;
  }
  return frames;
};

const field = (bytes: Buffer, number: number): number | Buffer | undefined =>
  fieldsOf(bytes).find(([found]) => found === number)?.[1];
const inner = (bytes: Buffer, ...path: readonly number[]): Buffer =>
  path.reduce((message, number) => field(message, number) as Buffer, bytes);

/** Each event as [step, tag, value] for scalars, or a word. */
const eventsOf = async (path: string) => {
  const events: (string | [number, string, number])[] = [];
  for (const event of framesOf(await readFile(path))) {
    const step = (field(event, 2) ?? 0) as number;
    const summary = field(event, 5) as Buffer | undefined;
    if (field(event, 3)) events.push(String(field(event, 3)));
    else if (field(event, 7)) events.push(`start ${step} ${String(field(inner(event, 7), 1))}`);
    for (const [, value] of summary ? fieldsOf(summary) : []) {
      const message = value as Buffer;
      const tag = String(field(message, 1));
      const scalar = field(message, 2) as number | undefined;
      const text = scalar === undefined ? String(inner(message, 8, 8)) : '';
      const plugin = scalar === undefined ? String(inner(message, 9, 1, 1)) : '';
      events.push(scalar === undefined ? `${plugin} ${tag}: ${text}` : [step, tag, scalar]);
    }
  }
  return events;
};

const filesIn = async (folder: string): Promise<string[]> =>
  (await readdir(join(folder, 'tensorboard')))
    .sort()
    .map((name) => join(folder, 'tensorboard', name));

test('scalars and texts come back from an event file', async (t) => {
  const folder = await temporaryFolder(t);
  const board = await openTensorBoard({ folder, fromStep: 0 });
  const before = Date.now() / 1000;
  await board.logText!('manifest', 'Größe: 1');
  await board.log(1, { 'train/loss': 0.5, 'train/rewards/chosen': -2 });
  // Past 32 bits, and past the 128 bytes of a one-byte length.
  await board.log(2 ** 40, { [`train/${'x'.repeat(200)}`]: Infinity });
  await board.close();
  const [file, ...others] = await filesIn(folder);
  t.deepEqual(others, []);
  t.deepEqual(await eventsOf(file!), [
    'brain.Event:2',
    'text manifest: Größe: 1',
    [1, 'train/loss', 0.5],
    [1, 'train/rewards/chosen', -2],
    [2 ** 40, `train/${'x'.repeat(200)}`, Infinity],
  ]);
  const time = field(framesOf(await readFile(file!))[1]!, 1) as number;
  t.true(time >= before - 1 && time <= before + 600);
});

test('a resumed session comes after the ones before, and voids what they said of its steps', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'tensorboard'));
  const future = join(folder, 'tensorboard', 'events.out.tfevents.4000000000.host.1.0');
  await writeFile(future, '');
  for (const fromStep of [6, 0]) {
    await (await openTensorBoard({ folder, fromStep })).close();
  }
  const [first, second, third] = await filesIn(folder);
  t.is(first, future);
  t.deepEqual(await eventsOf(second!), ['brain.Event:2', 'start 7 1']);
  t.deepEqual(await eventsOf(third!), ['brain.Event:2', 'start 0 1']);
});

test('every value of report_to acts or is refused with a way out', async (t) => {
  t.deepEqual(checkReportTo(['tensorboard']), ['tensorboard']);
  t.deepEqual(checkReportTo(['all', 'tensorboard']), ['tensorboard']);
  t.deepEqual(checkReportTo(['none']), []);
  t.deepEqual(checkReportTo([]), []);
  const refused: readonly (readonly [string[], string])[] = [
    [['wandb'], 'wandb sync'],
    [['mlflow'], 'Tracker object'],
    [['tensorboard', 'comet_ml'], 'comet_ml'],
    [['tensorbord'], 'Did you mean "tensorboard"'],
    [['toString'], 'not known'],
    [['none', 'tensorboard'], 'no other'],
  ];
  for (const [names, words] of refused) {
    assertError(t, await caught(() => checkReportTo(names)), 'OPTION_INVALID', words);
  }
});
