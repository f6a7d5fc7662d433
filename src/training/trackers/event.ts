// TensorBoard's events: the few protocol buffers of tensorboard/compat/proto that scalars and texts
// need, and the frames of a TFRecord file around them.
import { maskedCrc32c } from './crc32c.js';

type Field = Buffer;

/** Base 128, low groups first; exact for whole numbers up to 2^53. */
const varint = (value: number): Buffer => {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
};

const key = (field: number, wireType: number): Buffer => varint(field * 8 + wireType);

const whole = (field: number, value: number): Field =>
  Buffer.concat([key(field, 0), varint(value)]);

const double = (field: number, value: number): Field => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([key(field, 1), bytes]);
};

const float = (field: number, value: number): Field => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([key(field, 5), bytes]);
};

const bytesField = (field: number, bytes: Buffer): Field =>
  Buffer.concat([key(field, 2), varint(bytes.length), bytes]);

const text = (field: number, value: string): Field => bytesField(field, Buffer.from(value, 'utf8'));

const message = (field: number, fields: readonly Field[]): Field =>
  bytesField(field, Buffer.concat(fields));

const stringType = 7; // DT_STRING of tensor types

const scalarValue = ([tag, value]: readonly [string, number]): Field =>
  message(1, [text(1, tag), float(2, value)]);

const textValue = (tag: string, value: string): Field => {
  const shape = message(2, [message(2, [whole(1, 1)])]);
  return message(1, [
    text(1, tag),
    message(8, [whole(1, stringType), shape, text(8, value)]),
    message(9, [message(1, [text(1, 'text')])]),
  ]);
};

export type EventContent =
  /** First of every file. */
  | { readonly kind: 'version' }
  /** Readers forget what earlier files say of this step and later ones. */
  | { readonly kind: 'start' }
  | { readonly kind: 'scalars'; readonly scalars: Readonly<Record<string, number>> }
  | { readonly kind: 'text'; readonly name: string; readonly text: string };

const contentField = (content: EventContent): Field => {
  switch (content.kind) {
    case 'version':
      return text(3, 'brain.Event:2');
    case 'start':
      return message(7, [whole(1, 1)]);
    case 'scalars':
      return message(5, Object.entries(content.scalars).map(scalarValue));
    case 'text':
      return message(5, [textValue(content.name, content.text)]);
  }
};

/** An Event; `seconds` since 1970. Scalars are stored as 32-bit floats. */
export const encodeEvent = (seconds: number, step: number, content: EventContent): Buffer =>
  Buffer.concat([double(1, seconds), whole(2, step), contentField(content)]);

/** Length, its CRC, the data, its CRC; little-endian. */
export const frameRecord = (data: Buffer): Buffer => {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(data.length));
  head.writeUInt32LE(maskedCrc32c(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc32c(data));
  return Buffer.concat([head, data, tail]);
};
