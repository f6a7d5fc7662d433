// The fables, the batches made of them, and the measure of what a sample copies.
import test from 'ava';
import { fableBatches } from '../../src/demo/batches.js';
import { animals, longestCopiedRun, readFables } from '../../src/demo/fables.js';

test('a tenth of the fables is kept unseen, and none is in both parts', async (t) => {
  const { training, unseen } = await readFables();
  t.is(unseen.length, Math.floor((training.length + unseen.length) / 10));
  t.is(new Set([...training, ...unseen]).size, training.length + unseen.length);
  for (const fable of [...training, ...unseen]) t.regex(fable, /^Once .* The lesson: .*\.$/);
});

test('the longest copied run counts whole words in order', (t) => {
  const fables = ['one two three four', 'five six'];
  t.is(longestCopiedRun('zero one two three six', fables), 3);
  t.is(longestCopiedRun('four five', fables), 1, 'not across fables');
  t.is(longestCopiedRun('on tw', fables), 0, 'not parts of words');
  t.is(longestCopiedRun('one two three four', fables), 4);
  t.is(longestCopiedRun('a fox ran', ['a bear ran off']), 3, 'whichever the animals');
});

/** Batches whose "tokens" are characters, so that a test can read them. */
const texts = (fables: readonly string[], seed: number, batches: number): string[] => {
  const encode = (text: string) => Int32Array.from(text, (c) => c.codePointAt(0)!);
  const source = fableBatches(fables, encode, { size: 2, seed });
  return Array.from({ length: batches }, () => source.next().value)
    .flat()
    .map(({ tokens }) => String.fromCodePoint(...tokens));
};

test('each round has every fable once, with its animals in other roles', (t) => {
  const fables = ['A fox saw a fox and a hen.', 'One.', 'Two.', 'Three.'];
  const round = texts(fables, 5, 2);
  const recast = round.find((text) => text.startsWith('A '));
  t.deepEqual(round.filter((text) => text !== recast).sort(), fables.slice(1).sort());
  const [, first, again, other] = /^A (\w+) saw a (\w+) and a (\w+)\.$/.exec(recast ?? '') ?? [];
  t.is(first, again, 'the same animal stays the same');
  t.not(first, other, 'different animals stay different');
  for (const name of [first, other]) t.true(animals.names.includes(name ?? ''));
});

test('the seed decides the order and the roles', (t) => {
  const fables = ['A fox.', 'A hen.', 'A dog.', 'A cat.', 'A bee.'];
  t.deepEqual(texts(fables, 1, 10), texts(fables, 1, 10));
  t.notDeepEqual(texts(fables, 1, 10), texts(fables, 2, 10));
});
