// Reads weights from a file that is cut off at several moments of the reading; prints what each
// reading came to. A process of its own, because a mapped file would end it with SIGBUS.
import { truncateSync } from 'node:fs';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readCheckpoint } from '../../../src/checkpoint/checkpoint.js';
import { describeModel } from '../../../src/checkpoint/config.js';
import { encodeHeader } from '../../../src/checkpoint/safetensors.js';
import { guarded, native, settle } from '../../../src/engine/native.js';
import { rangesOfFile } from '../../../src/engine/tensors.js';
import { AlignlabError } from '../../../src/errors.js';
import { medium } from '../../helpers/medium.js';

// An embedding of 64 MiB, the first that is read: it takes longer than the moments below.
const config = { ...medium, vocab_size: 2 ** 16, num_hidden_layers: 1 };
const folder = await mkdtemp(join(tmpdir(), 'alignlab-'));
try {
  const path = join(folder, 'model.safetensors');
  const { bytes, size } = encodeHeader(
    describeModel(config, 'the config').tensors.map((tensor) => ({ ...tensor, dtype: 'F32' })),
  );
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  await writeFile(path, bytes);
  await truncate(path, size); // zeros that take no disk
  const checkpoint = await readCheckpoint(folder);
  const model = guarded(() => new (native().NativeModel)(checkpoint.shape, 'bf16', false));
  const ranges = rangesOfFile(checkpoint.tensors, model.slotNames());
  const outcomes: string[] = [];
  for (const moment of [0, 1, 5, 20, 60]) {
    await truncate(path, size);
    const reading = settle(model.read('weights', ranges)).then(
      () => 'read',
      (error: unknown) => (error instanceof AlignlabError ? error.code : String(error)),
    );
    await sleep(moment);
    truncateSync(path, bytes.length);
    outcomes.push(await reading);
  }
  console.log(JSON.stringify(outcomes));
} finally {
  await rm(folder, { recursive: true, force: true });
}
