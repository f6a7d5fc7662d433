// Comparisons: both orders of the same pieces, cut alike, the same for training and judging.
import test, { type ExecutionContext } from 'ava';
import { ComparisonEncoder, type ComparisonOptions } from '../../src/text/comparison.js';
import { Encoder } from '../../src/text/encoding.js';
import type { TextRecord } from '../../src/text/example.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { styles, wordTokenizer } from './tokenizers.js';

// Words of the tokenizer, so that each separator is one token of its own.
const separators = {
  beforePrompt: 'user',
  beforeFirst: ' assistant',
  beforeSecond: ' model',
  end: ' all',
};
const [user, assistant, model, hi, there, you, all, no] = [3, 4, 5, 6, 7, 8, 9, 10] as const;

const make = async (t: ExecutionContext, options: ComparisonOptions = {}) => {
  const encoder = new Encoder(await wordTokenizer(t, styles.llama3!));
  return new ComparisonEncoder(encoder, { separators, ...options });
};
const record: TextRecord = {
  kind: 'preference',
  prompt: 'hi there',
  chosen: 'you you',
  rejected: 'no',
  margin: 2,
  origin: 'pairs.jsonl:1',
};

test('a pair becomes its two orders after a common head', async (t) => {
  const comparisons = await make(t);
  const { example } = comparisons.encode(record);
  t.deepEqual<unknown, unknown>(example, {
    kind: 'pair',
    prompt: Int32Array.of(0, user, hi, there, assistant),
    responses: [
      { tokens: Int32Array.of(you, you, model, no, all) },
      { tokens: Int32Array.of(no, model, you, you, all) },
    ],
    margin: 2,
    origin: 'pairs.jsonl:1',
  });
  const judged = comparisons.compare('hi there', 'no', 'you you');
  t.deepEqual(judged.orders[1], Int32Array.of(you, you, model, no, all));
  t.deepEqual(comparisons.compare('hi', '', 'no').orders[0], Int32Array.of(model, no, all));
  const dialogue = [{ role: 'assistant', content: 'you' }];
  t.deepEqual(comparisons.compare('hi', dialogue, 'no'), comparisons.compare('hi', 'you', 'no'));
});

test('the start of the prompt goes first, then the end of the longer response', async (t) => {
  const words = (word: string, n: number) => Array.from({ length: n }, () => word).join(' ');
  // BOS and four separators are five tokens.
  const cut = async (maxLength: number, prompt: number, a: number, b: number) => {
    const comparisons = await make(t, { maxLength });
    const text = `${words('hi', prompt - 1)} there`;
    const { head, orders, truncated } = comparisons.compare(text, words('you', a), words('no', b));
    for (const order of orders) t.true(head.length + order.length <= maxLength);
    t.is(comparisons.truncated, Number(truncated));
    const count = (token: number) => orders[0].filter((id) => id === token).length;
    t.is(head.at(-2), there);
    return [head.length - 3, count(you), count(no)];
  };
  t.deepEqual(await cut(15, 4, 3, 3), [4, 3, 3]);
  t.deepEqual(await cut(13, 4, 3, 3), [2, 3, 3]);
  t.deepEqual(await cut(12, 4, 6, 2), [1, 4, 2]);
  t.deepEqual(await cut(10, 4, 6, 5), [1, 2, 2]);
  t.deepEqual(await cut(8, 9, 9, 9), [1, 1, 1]);
});

test('options out of range and rows of another kind are refused', async (t) => {
  assertError(t, await caught(() => make(t, { maxLength: 7 })), 'OPTION_INVALID', '8', '7');
  assertError(t, await caught(() => make(t, { maxLength: 9.5 })), 'OPTION_INVALID', '9.5');
  const blank = await caught(() => make(t, { separators: { ...separators, end: ' ' } }));
  assertError(t, blank, 'OPTION_INVALID', 'end');
  const comparisons = await make(t);
  const other: TextRecord = { kind: 'text', text: 'hi', origin: 'pairs.jsonl:2' };
  assertError(t, await caught(() => comparisons.encode(other)), 'DATA_INVALID', 'pairs.jsonl:2');
  t.like(comparisons.encode({ ...record, chosen: '' }), { dropped: 'empty_completion' });
  t.like(comparisons.describe(), { separators, maxLength: null, bos: 'tokenizer' });
});
