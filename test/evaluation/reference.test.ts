// The comparison with reference values notices what is wrong, and says where.
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { openSafetensors } from '../../src/checkpoint/safetensors.js';
import { compareWithReference } from '../../src/evaluation/reference.js';
import { assertError, caught, temporaryFolder } from '../checkpoint/helpers.js';
import { golden } from '../helpers/models.js';
import { referenceTest } from '../helpers/reference-files.js';

/** A copy of a reference folder, and a way to change one value of expected.safetensors. */
const copied = async (t: Parameters<typeof temporaryFolder>[0], family = 'llama') => {
  const folder = join(await temporaryFolder(t), family);
  await cp(golden(family), folder, { recursive: true });
  const path = join(folder, 'expected.safetensors');
  const original = await readFile(path);
  const file = await openSafetensors(path);
  const change = async (name: string, element: number, by: number): Promise<void> => {
    const { begin, dtype } = file.tensors.get(name)!;
    const bytes = Buffer.from(original);
    const at = begin + 4 * element;
    if (dtype === 'I32') bytes.writeInt32LE(bytes.readInt32LE(at) + by, at);
    else bytes.writeFloatLE(bytes.readFloatLE(at) + by, at);
    await writeFile(path, bytes, { mode: 0o600 });
  };
  return { folder, change };
};

const failing = async (folder: string): Promise<string[]> =>
  (await compareWithReference(folder)).flatMap(({ quantity, where, passes }) =>
    passes ? [] : [where ? `${quantity}, ${where}` : quantity],
  );

referenceTest('a value that is off fails its own row, with its place', async (t) => {
  const { folder, change } = await copied(t);
  t.deepEqual(await failing(folder), []);
  const q = 'model.layers.1.self_attn.q_proj.weight';
  for (const [name, element, by, row] of [
    ['logprobs', 11, 2e-4, 'log-probs, token 11'],
    ['logprobs', 11, NaN, 'log-probs, token 11'],
    ['entropies', 12, -2e-4, 'entropies, token 12'],
    [`grad.${q}`, 5, 100, `gradient of ${q}`],
    [`adamw.${q}`, 13, 3e-3, `AdamW step of ${q}, element 13`],
    ['greedy.2', 9, 1, 'greedy tokens 2, from token 9'],
  ] as const) {
    await change(name, element, by);
    const rows = await failing(folder);
    // A gradient is also the measure of its AdamW row's tolerance.
    t.true(rows.includes(row), `${name}: ${rows.join('; ')}`);
    t.true(
      rows.every((other) => other === row || other.includes(q)),
      rows.join('; '),
    );
  }
});

referenceTest('weights that are off fail', async (t) => {
  const { folder } = await copied(t);
  await cp(join(golden('mistral'), 'model.safetensors'), join(folder, 'model.safetensors'), {
    force: true,
  });
  const rows = await failing(folder);
  for (const kind of [/^log-probs/, /^entropies/, /^gradient of/, /^AdamW/, /^greedy/]) {
    t.true(
      rows.some((row) => kind.test(row)),
      String(kind),
    );
  }
});

test('a folder without reference values is refused', async (t) => {
  const folder = await temporaryFolder(t);
  assertError(t, await caught(() => compareWithReference(folder)), 'CHECKPOINT_NOT_FOUND');
  const model = join(golden('llama'), 'model.safetensors');
  await cp(model, join(folder, 'expected.safetensors'));
  assertError(t, await caught(() => compareWithReference(folder)), 'CHECKPOINT_INVALID', 'tokens');
});
