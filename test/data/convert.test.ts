// Conversions between kinds of records, and content hashes.
import { createHash } from 'node:crypto';
import test from 'ava';
import { contentHash, fileHash, filesHash, listHash } from '../../src/data/content-hash.js';
import { toCompletions, toPrompts, toUnpaired } from '../../src/data/convert.js';
import { openRows } from '../../src/data/dataset.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { withoutOrigin, writtenOne } from './files.js';

const pairs = [
  { prompt: 'Q', chosen: ' A', rejected: ' B' },
  { prompt: 'Q', chosen: ' C', rejected: ' D' },
];

test('a pair becomes two labelled rows', async (t) => {
  const records = await toUnpaired(await openRows(pairs)).toArray();
  t.deepEqual(records.slice(0, 2), [
    { kind: 'unpaired', origin: 'rows[0]#chosen', prompt: 'Q', completion: ' A', label: true },
    { kind: 'unpaired', origin: 'rows[0]#rejected', prompt: 'Q', completion: ' B', label: false },
  ]);
  t.is(records.length, 4);
  const already = await openRows([{ prompt: 'Q', completion: 'A', label: true }]);
  t.is(toUnpaired(already), already);
  const texts = await openRows([{ text: 'a' }]);
  assertError(t, await caught(() => toUnpaired(texts)), 'DATA_INVALID', '"text"', 'label');
});

test('completions are taken from either side or both', async (t) => {
  const targets = async (side: 'chosen' | 'rejected' | 'both') =>
    (await toCompletions(await openRows(pairs), side).toArray()).map((record) =>
      record.kind === 'completion' ? record.completion : record.kind,
    );
  t.deepEqual(await targets('chosen'), [' A', ' C']);
  t.deepEqual(await targets('rejected'), [' B', ' D']);
  t.deepEqual(await targets('both'), [' A', ' B', ' C', ' D']);
  const labelled = [true, false].map((label) => ({
    prompt: 'Q',
    completion: String(label),
    label,
  }));
  const of = async (side: 'chosen' | 'rejected' | 'both') =>
    (await toCompletions(await openRows(labelled), side).toArray()).map(withoutOrigin);
  const completion = (text: string) => ({ kind: 'completion', prompt: 'Q', completion: text });
  t.deepEqual(await of('chosen'), [completion('true')]);
  t.deepEqual(await of('rejected'), [completion('false')]);
  t.is((await of('both')).length, 2);
});

test('of dialogues, the last turn is the completion; plain texts are refused', async (t) => {
  const messages = [
    { role: 'user', content: 'Q' },
    { role: 'assistant', content: 'A' },
  ];
  const dialogues = await openRows([{ messages }]);
  t.deepEqual((await toCompletions(dialogues).toArray()).map(withoutOrigin), [
    { kind: 'completion', prompt: [messages[0]], completion: [messages[1]] },
  ]);
  t.like((await toPrompts(dialogues).toArray())[0], { prompt: [messages[0]] });
  const texts = toCompletions(await openRows([{ text: 'a' }]));
  assertError(t, await caught(() => texts.toArray()), 'DATA_INVALID', 'cannot be made');
});

test('prompts keep their columns, and are made unique on demand', async (t) => {
  t.is((await toPrompts(await openRows(pairs)).toArray()).length, 2);
  const unique = toPrompts(await openRows(pairs), { unique: true });
  t.deepEqual(await unique.toArray(), [
    { kind: 'prompt', origin: 'rows[0]', prompt: 'Q', columns: {} },
  ]);
  const rows = [
    { prompt: 'Q', answer: 1 },
    { prompt: 'Q', answer: 2 },
  ];
  const first = await toPrompts(await openRows(rows), { unique: true }).toArray();
  t.like(first, [{ columns: { answer: 1 } }]);
});

test('content hashes tell apart what is not the same', async (t) => {
  const parts = [
    ['ab', 'c'],
    ['a', 'bc'],
    ['abc'],
    [Int32Array.of(1, 2)],
    [Int32Array.of(1), Int32Array.of(2)],
    [Int32Array.of(2, 1)],
    [new Uint8Array(Int32Array.of(1, 2).buffer)],
    [1, 2],
    [12],
    [null],
    [true],
    [false],
    [''],
    [],
  ];
  const hashes = parts.map((list) => contentHash(...list));
  t.is(new Set(hashes).size, parts.length);
  t.true(hashes.every((hash) => /^[0-9a-f]{64}$/.test(hash)));
  // A view into a larger buffer counts as what it shows.
  t.is(contentHash(Int32Array.of(9, 1, 2).subarray(1)), contentHash(Int32Array.of(1, 2)));
  // More parts than a call takes arguments.
  t.is(listHash(['a', 'bc']), contentHash('a', 'bc'));
  t.regex(listHash(Array<string>(300_000).fill('a')), /^[0-9a-f]{64}$/);
  const path = await writtenOne(t, 'a.txt', 'abc');
  t.is(await filesHash([path, path]), createHash('sha256').update('abcabc').digest('hex'));
  t.is(await fileHash(path), createHash('sha256').update('abc').digest('hex'));
  const absent = await caught(() => fileHash(`${path}.none`));
  assertError(t, absent, 'IO_FAILED', 'does not exist');
});
