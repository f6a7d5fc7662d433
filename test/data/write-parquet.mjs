// Writes Parquet: the serialised options of parquetWriteBuffer come in, the bytes go out. A program
// of its own, since ts-node's loader cannot resolve the imports of hyparquet-writer.
import { readFileSync } from 'node:fs';
import { deserialize } from 'node:v8';
import { parquetWriteBuffer } from 'hyparquet-writer';

process.stdout.write(new Uint8Array(parquetWriteBuffer(deserialize(readFileSync(0)))));
