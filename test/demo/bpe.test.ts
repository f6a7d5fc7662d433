// The tokenizer that the demo learns: it covers every text, and the text it learnt from in few tokens.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { endOfText, learnTokenizer } from '../../src/demo/bpe.js';
import { readFables } from '../../src/demo/fables.js';
import { Tokenizer } from '../../src/text/tokenizer.js';

const merges = (text: string, size: number): string[] =>
  (learnTokenizer(text, size).definition as { model: { merges: string[] } }).model.merges;

test('merges are learnt by frequency, ties in order', (t) => {
  // "ab" occurs five times, more than any other pair.
  t.deepEqual(merges('abcabcabcxabyab', 257 + 1), ['a b']);
  t.deepEqual(merges('ab ab ab', 1000), ['a b', 'Ġ ab']);
  t.deepEqual(merges('ba dc ba dc', 257 + 2), ['b a', 'd c']);
  t.deepEqual(merges('abc', 1000), [], 'a pair that occurs once is not merged');
});

test('the files round-trip any text and begin it with the end-of-text token', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'alignlab-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const { training, unseen } = await readFables();
  const { size, definition, config } = learnTokenizer(training.join('\n'), 600);
  t.is(size, 600);
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(definition));
  await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  const tokenizer = await Tokenizer.load(folder);
  t.is(tokenizer.size, 600);
  t.is(tokenizer.idOf(endOfText), 0);
  const strange = "A zebra's  naïve 42!?\n\n\tüber 你好 🙂 don't";
  for (const text of [...training, ...unseen, strange]) {
    const ids = tokenizer.encode(text);
    t.is(ids[0], 0);
    t.is(tokenizer.decode(ids), text);
  }
  const [fable = ''] = unseen;
  t.true(tokenizer.encode(fable).length < fable.length / 2.5, 'BPE shortens text of its kind');
});
