// Sets of human preferences as they are published, with the counts that their makers give.
import { join } from 'node:path';
import type { DataCounts } from '../../src/data/dataset.js';
import { openDataset } from '../../src/data/open.js';
import type { Message, TextRecord } from '../../src/text/example.js';
import { referenceTest, shared } from '../helpers/reference-files.js';
import { plainText } from './files.js';

const data = join(shared, 'data');

const sets: readonly (readonly [path: string, format: string, counts: Partial<DataCounts>])[] = [
  ['preferences/hh-rlhf.harmless-base.test.jsonl.gz', 'hh-rlhf', { records: 2312 }],
  ['preferences/hh-rlhf.helpful-base.test.dsp.json.gz', 'scored-texts', { records: 2352, ties: 0 }],
  // Two of three annotators: 422 for the first, 472 for the second, 105 for neither.
  ['preferences/pandalm.testset-v1.json.gz', 'pandalm', { rows: 999, records: 894, ties: 105 }],
  ['preferences/oasst.en_100_tree.jsonl.gz', 'oasst', { rows: 100, records: 754, ties: 0 }],
  ['preferences/llmbar/LLMBar.*.json', 'llmbar', { records: 419 }],
  ['preferences/llmbar/Processed.*.json', 'llmbar', { records: 466 }],
  ['preferences/llmbar', 'llmbar', { records: 885 }],
  [
    'preferences/rasbt.instruction-data-with-preference.json.gz',
    'alpaca-preference',
    { records: 1100 },
  ],
  ['preferences/llamafactory.dpo_en_demo.json.gz', 'sharegpt-preference', { records: 300 }],
  ['preferences/llamafactory.kto_en_demo.json.gz', 'unpaired-messages', { records: 300 }],
  ['tldr/oai1b.csv_judged.csv.gz', 'tldr-judged', { rows: 1945, records: 1000, unlabelled: 945 }],
];

for (const [path, format, counts] of sets) {
  for (const conversational of [false, true]) {
    referenceTest(`${path} loads${conversational ? ' as turns' : ''}`, async (t) => {
      const dataset = await openDataset({ path: join(data, path), conversational });
      t.is(dataset.describe().format, format);
      const records = await dataset.toArray();
      t.like(dataset.counts(), { skipped: 0, ...counts });
      t.is(records.length, counts.records ?? 0);
      t.is(new Set(records.map(({ origin }) => origin)).size, records.length);
      for (const record of records) {
        if (record.kind !== 'preference') continue;
        const texts = [record.prompt, record.chosen, record.rejected];
        const turns = texts.map((text) => typeof text !== 'string');
        if (conversational) t.deepEqual(turns, [true, true, true]);
        else t.is(new Set(turns).size, 1);
        if (conversational && format === 'hh-rlhf') {
          const roles = (record.prompt as readonly Message[]).map(({ role }) => role);
          t.is(roles[0], 'user', record.origin);
        }
      }
    });
  }
}

referenceTest(
  'hh-rlhf prompts end with the marker, and prompt and response are the text',
  async (t) => {
    const path = join(data, 'preferences/hh-rlhf.harmless-base.test.jsonl.gz');
    const raw = await openDataset({ path, columns: { text: 'chosen', rejected: '' } });
    const texts = await raw.toArray();
    const pairs = await (await openDataset(path)).toArray();
    for (const [i, pair] of pairs.entries()) {
      const whole = texts[i]!;
      if (pair.kind !== 'preference' || whole.kind !== 'text') return t.fail();
      t.true(plainText(pair.prompt).endsWith('\n\nAssistant:'));
      t.is(plainText(pair.prompt) + plainText(pair.chosen), plainText(whole.text));
    }
  },
);

referenceTest('the TL;DR winners are 640 of the model and 360 of the reference', async (t) => {
  const path = join(data, 'tldr/oai1b.csv_judged.csv.gz');
  const columns = {
    chosen: 'postprocessed_response',
    rejected: 'reference_responses',
    prompt: 'query',
  };
  const ours = await (await openDataset({ path, columns })).toArray();
  const judged = await (await openDataset(path)).toArray();
  const winner = (record: TextRecord): string =>
    record.kind === 'preference' ? plainText(record.prompt) + plainText(record.chosen) : '';
  const model = new Set(ours.map(winner));
  const wins = judged.filter((record) => model.has(winner(record)));
  t.is(wins.length, 640);
});

for (const [name, kind] of [
  ['preferences', 'preference'],
  ['unpaired', 'unpaired'],
] as const) {
  referenceTest(`the ${name} of the training goldens are read as they are`, async (t) => {
    const dataset = await openDataset(join(shared, 'goldens', 'trl', `${name}.jsonl`));
    t.is(dataset.kind, kind);
    t.true((await dataset.toArray()).length > 0);
  });
}
