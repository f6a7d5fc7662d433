// Every format: a row that is read, with its result, and rows that are refused, with the message.
import test from 'ava';
import type { JsonObject } from '../../src/checkpoint/json.js';
import { openRows } from '../../src/data/dataset.js';
import { formatNames } from '../../src/data/formats/index.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { withoutOrigin } from './files.js';

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });
const pair = (prompt: unknown, chosen: unknown, rejected: unknown) => ({
  kind: 'preference',
  prompt,
  chosen,
  rejected,
});
const turnsPair = pair([user('Q')], [assistant('A')], [assistant('B')]);

interface Case {
  readonly format: string;
  readonly row: JsonObject;
  readonly records: readonly unknown[];
  /** A change that makes the row bad, with what the message says. Default place: rows[0]. */
  readonly bad: readonly (readonly [change: JsonObject, ...parts: string[]])[];
}

const gone = undefined;

const cases: readonly Case[] = [
  {
    format: 'preference',
    row: { prompt: 'Q', chosen: ' A', rejected: ' B', id: 7 },
    records: [pair('Q', ' A', ' B')],
    bad: [
      [{ rejected: gone, rejectd: ' B' }, 'no "rejected"', 'Is it "rejectd"?', "'rejectd' }"],
      [{ prompt: gone, instruct: 'Q' }, 'no "prompt"', '"chosen", "rejected", "id", "instruct"'],
      [{ chosen: null }, '"chosen" is null where text or a list of messages is expected'],
      [{ prompt: 7 }, '"prompt" is 7 (a number)'],
      [{ chosen: [] }, '"chosen" is [] (a list)'],
      [{ margin: 'wide' }, '"margin" is "wide" (a string) where a number'],
      [{ images: ['x.png'] }, '"images" is filled in'],
    ],
  },
  {
    format: 'preference',
    row: { prompt: [user('Q')], chosen: [assistant('A')], rejected: [assistant('B')], margin: 2 },
    records: [{ ...turnsPair, margin: 2 }],
    bad: [
      [{ chosen: [{ role: 'assistant', content: null }] }, '"chosen[0].content" is null'],
      [{ chosen: [{ roll: 'assistant', content: 'A' }] }, 'a message {role, content}'],
      [{ chosen: [{ ...assistant('A'), tool_calls: [{}] }] }, 'calls tools'],
    ],
  },
  {
    // ultrafeedback_binarized: the prompt as text and whole dialogues
    format: 'preference',
    row: {
      prompt: 'Q',
      chosen: [user('Q'), assistant('A')],
      rejected: [user('Q'), assistant('B')],
      messages: [user('Q'), assistant('A')],
      score_chosen: 8.5,
      score_rejected: 6,
    },
    records: [turnsPair],
    bad: [
      [{ prompt: 'Other' }, 'does not occur in the turns'],
      [{ rejected: [user('R'), assistant('B')] }, 'do not start with the same turn'],
    ],
  },
  {
    format: 'sharegpt-preference',
    row: {
      conversations: [{ from: 'human', value: 'Q' }],
      chosen: { from: 'gpt', value: 'A' },
      rejected: { from: 'gpt', value: 'B' },
    },
    records: [turnsPair],
    bad: [
      [{ conversations: [{ from: 'alien', value: 'Q' }] }, '"conversations[0].from" is "alien"'],
      [{ rejected: { from: 'gpt', value: 3 } }, '"rejected.value" is 3 (a number) where text'],
    ],
  },
  {
    format: 'alpaca-preference',
    row: { instruction: 'Do', input: 'this', chosen: 'A', rejected: 'B', output: 'A' },
    records: [pair('Do\nthis', 'A', 'B')],
    bad: [
      [{ instruction: false }, '"instruction" is false (a boolean)'],
      [{ history: [['a', 'b']] }, '"history" is filled in', 'with messages instead'],
    ],
  },
  {
    format: 'hh-rlhf',
    row: {
      chosen: '\n\nHuman: Hi\n\nAssistant: Hello!',
      rejected: '\n\nHuman: Hi\n\nAssistant: Hell no.',
    },
    records: [pair('\n\nHuman: Hi\n\nAssistant:', ' Hello!', ' Hell no.')],
    bad: [[{ rejected: '\n\nHuman: Ho\n\nAssistant: No.' }, 'no common start that ends in']],
  },
  {
    format: 'implicit-preference',
    row: { chosen: [user('Q'), assistant('A')], rejected: [user('Q'), assistant('B')] },
    records: [turnsPair],
    bad: [
      [{ rejected: [user('Q'), user('R')] }, "part at turn 2, which is the user's"],
      [{ rejected: 'Q B' }, 'one of "chosen" and "rejected" is text'],
    ],
  },
  {
    format: 'unpaired',
    row: { prompt: 'Q', completion: ' A', label: true },
    records: [{ kind: 'unpaired', prompt: 'Q', completion: ' A', label: true }],
    bad: [
      [{ label: 'good' }, '"label" is "good" (a string) where true or false is expected'],
      [{ label: -1 }, '"label" is -1'],
      [{ label: null }, '"label" is null'],
      [{ completion: gone, completions: 'A' }, 'Is it "completions"?'],
    ],
  },
  {
    format: 'unpaired-messages',
    row: { messages: [user('Q'), assistant('A')], label: false },
    records: [
      { kind: 'unpaired', prompt: [user('Q')], completion: [assistant('A')], label: false },
    ],
    bad: [
      [{ messages: [user('Q')] }, 'ends with a turn of "user"'],
      [{ messages: [assistant('A')] }, 'a single turn'],
    ],
  },
  {
    format: 'alpaca-unpaired',
    row: { instruction: 'Q', input: '', output: 'A', kto_tag: 'True' },
    records: [{ kind: 'unpaired', prompt: 'Q', completion: 'A', label: true }],
    bad: [[{ kto_tag: 2 }, '"kto_tag" is 2']],
  },
  {
    format: 'prompt-completion',
    row: { prompt: 'Q', completion: ' A' },
    records: [{ kind: 'completion', prompt: 'Q', completion: ' A' }],
    bad: [[{ completion: 1.5 }, '"completion" is 1.5 (a number)']],
  },
  {
    format: 'alpaca',
    row: { instruction: 'Q', input: null, output: 'A' },
    records: [{ kind: 'completion', prompt: 'Q', completion: 'A' }],
    bad: [[{ input: 5 }, '"input" is 5 (a number)']],
  },
  {
    format: 'context-messages',
    row: { context_messages: [user('Q')], label: '42' },
    records: [{ kind: 'prompt', prompt: [user('Q')], columns: { label: '42' } }],
    bad: [[{ context_messages: 3 }, '"context_messages" is 3 (a number) where text or']],
  },
  {
    // a row of verl
    format: 'prompt',
    row: { data_source: 'gsm8k', prompt: [user('Q')], reward_model: { ground_truth: '72' } },
    records: [
      {
        kind: 'prompt',
        prompt: [user('Q')],
        columns: { data_source: 'gsm8k', reward_model: { ground_truth: '72' } },
      },
    ],
    bad: [[{ prompt: { ground: 'truth' } }, 'a message {role, content} or {from, value}']],
  },
  {
    format: 'messages',
    row: {
      conversations: [
        { from: 'system', value: 'S' },
        { from: 'human', value: 'Q' },
      ],
    },
    records: [{ kind: 'text', text: [{ role: 'system', content: 'S' }, user('Q')] }],
    bad: [[{ conversations: ['Q'] }, '"conversations[0]" is "Q" (a string)']],
  },
  {
    format: 'text',
    row: { text: 'The sky is blue.' },
    records: [{ kind: 'text', text: 'The sky is blue.' }],
    bad: [[{ text: 12 }, '"text"']],
  },
  {
    format: 'scored-texts',
    row: {
      text: [
        '\n\nHuman: Q\n\nAssistant: worse',
        '\n\nHuman: Q\n\nAssistant: best',
        '\n\nHuman: Q\n\nAssistant: worst',
        '\n\nHuman: Q\n\nAssistant: as bad',
      ],
      score: [0.5, 1, 0, 0],
    },
    records: [
      [' best', ' worse'],
      [' worse', ' worst'],
      [' worse', ' as bad'],
      [' best', ' worst'],
      [' best', ' as bad'],
    ].map(([a, b]) => pair('\n\nHuman: Q\n\nAssistant:', a, b)),
    bad: [
      [{ score: [1, 0] }, 'there are 4 texts and 2 scores'],
      [{ score: [1] }, 'a list of two or more numbers'],
      [{ text: ['a', 'b', 'c', 'd'] }, '"text[0]" is "a" (a string) where text with'],
    ],
  },
  {
    format: 'llmbar',
    row: { input: 'Q', output_1: 'A', output_2: 'B', label: 2 },
    records: [pair('Q', 'B', 'A')],
    bad: [[{ label: 3 }, '"label" is 3 (a number) where 1, 2 or 0 (a tie)']],
  },
  {
    format: 'pandalm',
    row: {
      instruction: 'Do',
      input: 'it',
      response1: 'A',
      response2: 'B',
      annotator1: 1,
      annotator2: 0,
      annotator3: 1,
    },
    records: [pair('Do\nit', 'A', 'B')],
    bad: [
      [{ annotator2: 'first' }, '"annotator2" is "first"'],
      [{ response1: 1 }, '"response1" is 1 (a number) where text'],
    ],
  },
  {
    format: 'tldr-judged',
    row: {
      query: 'POST',
      postprocessed_response: ' ours',
      reference_responses: ' theirs',
      preferred: 'reference',
    },
    records: [pair('POST', ' theirs', ' ours')],
    bad: [[{ preferred: 'mine' }, '"preferred" is "mine"', '"ours", "reference" or "tie"']],
  },
  {
    format: 'oasst',
    row: {
      message_tree_id: 'x',
      prompt: {
        role: 'prompter',
        text: 'Q',
        replies: [
          { role: 'assistant', text: 'B', rank: 1, replies: [] },
          {
            role: 'assistant',
            text: 'A',
            rank: 0,
            replies: [
              {
                role: 'prompter',
                text: 'Q2',
                replies: [
                  { role: 'assistant', text: 'C', rank: 0, replies: [] },
                  { role: 'assistant', text: 'D', rank: 1 },
                  { role: 'assistant', text: 'unranked', rank: null },
                  { role: 'assistant', text: 'deleted', rank: 2, deleted: true },
                ],
              },
            ],
          },
        ],
      },
    },
    records: [
      turnsPair,
      pair([user('Q'), assistant('A'), user('Q2')], [assistant('C')], [assistant('D')]),
    ],
    bad: [
      [{ prompt: { role: 'prompter', text: 'Q', replies: 'none' } }, '"replies" is "none"'],
      [{ prompt: { role: 'prompter' } }, '"text" is null'],
    ],
  },
];

const without = (row: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined));

test('every format has a case', (t) => {
  t.deepEqual(
    formatNames.filter((name) => !cases.some(({ format }) => format === name)),
    [],
  );
});

for (const [i, { format, row, records, bad }] of cases.entries()) {
  test(`${format}, case ${i + 1}: read and detected`, async (t) => {
    const dataset = await openRows([row]);
    t.is(dataset.describe().format, format);
    const read = await dataset.toArray();
    t.deepEqual(read.map(withoutOrigin), records);
    t.true(read.every(({ kind }) => kind === dataset.kind));
    const origins = records.length === 1 ? ['rows[0]'] : records.map((_, k) => `rows[0]#${k + 1}`);
    t.deepEqual(
      read.map(({ origin }) => origin),
      origins,
    );
    t.deepEqual(await (await openRows([row], { format })).toArray(), read);
  });

  for (const [change, ...parts] of bad) {
    test(`${format}, case ${i + 1}: refused: ${parts[0]!}`, async (t) => {
      const wrong = without({ ...row, ...change });
      const dataset = await openRows([row, wrong]);
      assertError(t, await caught(() => dataset.toArray()), 'DATA_INVALID', 'rows[1]', ...parts);
    });
  }
}

test('ties and missing labels are left out and counted', async (t) => {
  const tie = { input: 'Q', output_1: 'A', output_2: 'B', label: 0 };
  const dataset = await openRows([tie, { ...tie, label: 1 }, tie]);
  t.is((await dataset.toArray()).length, 1);
  t.like(dataset.counts(), { rows: 3, records: 1, ties: 2, skipped: 0 });
  const [first, second] = [{ annotator1: 1, annotator2: 2, annotator3: 0 }, { annotator2: 1 }];
  const votes = { instruction: 'Q', input: '', response1: 'A', response2: 'B', ...first };
  const panda = await openRows([votes, { ...votes, ...second }]);
  t.is((await panda.toArray()).length, 1); // 1, 2, 0 has no majority
  t.is(panda.counts().ties, 1);
  const word = await openRows([{ ...votes, ...second, response1: true, response2: false }]);
  t.like((await word.toArray())[0], { chosen: 'True', rejected: 'False' });
});

test('whole texts are divided by characters only where that is asked for', async (t) => {
  const row = { chosen: 'The sky is blue.', rejected: 'The sky is green.' };
  const refused = await caught(() => openRows([row]));
  assertError(t, refused, 'DATA_INVALID', 'rows[0]', "'implicit-preference'", 'columns:');
  const read = async (chosen: string, rejected: string) => {
    const dataset = await openRows([{ chosen, rejected }], { format: 'implicit-preference' });
    return withoutOrigin((await dataset.toArray())[0]!);
  };
  // The space goes to the responses.
  t.deepEqual(await read(row.chosen, row.rejected), pair('The sky is', ' blue.', ' green.'));
  t.deepEqual(await read('Q\nAb', 'Q\nCd'), pair('Q\n', 'Ab', 'Cd'));
  // U+1F600 and U+1F601 share their first UTF-16 unit.
  t.deepEqual(await read('Q \u{1f600}', 'Q \u{1f601}'), pair('Q', ' \u{1f600}', ' \u{1f601}'));
  const startOfOther = await caught(() => read('The sky', 'The sky is'));
  assertError(t, startOfOther, 'DATA_INVALID', 'is the start of the other');
  assertError(t, await caught(() => read('A', 'B')), 'DATA_INVALID', 'no common start');
});

test('dialogues that are equal or of different length keep a response', async (t) => {
  const [q, a] = [user('Q'), assistant('A')];
  const read = async (chosen: unknown, rejected: unknown) =>
    withoutOrigin((await (await openRows([{ chosen, rejected }])).toArray())[0]!);
  t.deepEqual(await read([q, a], [q, a]), pair([q], [a], [a]));
  t.deepEqual(await read([q, a], [q, a, q, a]), pair([q], [a], [a, q, a]));
});

test('plain texts become turns on demand, hh-rlhf texts by their markers', async (t) => {
  const read = async (row: JsonObject) =>
    withoutOrigin((await (await openRows([row], { conversational: true })).toArray())[0]!);
  t.deepEqual(await read({ prompt: 'Q', chosen: 'A', rejected: 'B' }), turnsPair);
  t.deepEqual(await read({ prompt: 'Q', completion: 'A', label: 0 }), {
    kind: 'unpaired',
    prompt: [user('Q')],
    completion: [assistant('A')],
    label: false,
  });
  const before = '\n\nHuman: Hi\n\nAssistant: Hello!\n\nHuman: And?\n\nAssistant:';
  t.deepEqual(
    await read({ chosen: `${before} Yes.`, rejected: `${before} No.\n\nHuman: Why` }),
    pair(
      [user('Hi'), assistant('Hello!'), user('And?')],
      [assistant('Yes.')],
      [assistant('No.'), user('Why')],
    ),
  );
});

test('a response beside turns becomes a turn, and loses a repeated prompt', async (t) => {
  const read = async (row: JsonObject) =>
    withoutOrigin((await (await openRows([row])).toArray())[0]!);
  t.deepEqual(await read({ prompt: [user('Q')], chosen: 'A', rejected: 'B' }), turnsPair);
  t.deepEqual(
    await read({
      prompt: [user('Q')],
      chosen: [user('Q'), assistant('A')],
      rejected: [user('Q'), assistant('B')],
    }),
    turnsPair,
  );
});

test('columns are mapped, and left out by an empty name', async (t) => {
  const row = { instruction: 'Q', better: 'A', worse: 'B', prompt: 'not this' };
  const columns = { prompt: 'instruction', chosen: 'better', rejected: 'worse' };
  const dataset = await openRows([row], { columns });
  t.deepEqual((await dataset.toArray()).map(withoutOrigin), [pair('Q', 'A', 'B')]);
  t.deepEqual(dataset.describe().columns, columns);
  const swapped = await openRows([{ prompt: 'A', completion: 'Q' }], {
    columns: { prompt: 'completion', completion: 'prompt' },
  });
  t.like((await swapped.toArray())[0], { prompt: 'Q', completion: 'A' });
  const dropped = await openRows([{ prompt: 'x', text: 'whole' }], { columns: { prompt: '' } });
  t.is(dropped.kind, 'text');
  const wrong = await caught(() => openRows([row], { columns: { prompt: 'instructoin' } }));
  assertError(t, wrong, 'DATA_INVALID', 'rows[0]', 'no "instructoin"', 'Is it "instruction"?');
});

test('bad rows are left out and counted where that is asked for', async (t) => {
  const good = { prompt: 'Q', completion: 'A' };
  const empty = Array.from({ length: 9 }, () => ({}));
  const rows = [{ oops: 1 }, good, { prompt: 'Q', completion: 3 }, good, ...empty];
  const dataset = await openRows(rows, { onBadRow: 'skip' });
  t.is((await dataset.toArray()).length, 2);
  const { skipped, reasons, records, rows: read } = dataset.counts();
  t.deepEqual([read, records, skipped, reasons.length], [13, 2, 11, 5]);
  t.true(reasons[0]!.includes('rows[0]') && reasons[1]!.includes('rows[2]'));
  await dataset.toArray();
  t.is(dataset.counts().skipped, 11, 'counts are of one pass');
});

test('unknown formats and shapes are refused with the known ones', async (t) => {
  const typo = await caught(() => openRows([{ prompt: 'Q' }], { format: 'preferense' }));
  assertError(t, typo, 'OPTION_INVALID', 'Did you mean "preference"?', 'hh-rlhf');
  const steps = await caught(() => openRows([{ promt: 'Q', completions: [], labels: [] }]));
  assertError(t, steps, 'DATA_INVALID', 'stepwise');
  const unknown = await caught(() => openRows([{ a: 1, question: 'Q' }]));
  assertError(t, unknown, 'DATA_INVALID', 'Is it "question"?', 'by keys such as');
  assertError(t, await caught(() => openRows([])), 'DATA_INVALID', 'has no rows');
  const none = await openRows([{ text: '' }, { text: 1 }], { onBadRow: 'skip', format: 'prompt' });
  const empty = await caught(() => none.toArray());
  assertError(t, empty, 'DATA_INVALID', 'none of its 2 rows', '2 bad', 'rows[0]');
});
