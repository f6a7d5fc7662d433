// Labels by another judge, wrong labels, and the same for sources.
import test from 'ava';
import { flipLabels, relabel, relabelExamples } from '../../src/ablations/relabel.js';
import { flipped, rejudged, thinned, transformed } from '../../src/ablations/source.js';
import { openRows } from '../../src/data/dataset.js';
import type { Judge } from '../../src/judges/judge.js';
import { functionJudge, functionPairJudge } from '../../src/judges/function-judge.js';
import { datasetSource } from '../../src/sources/dataset.js';
import { type SampledExample, provenanceOf } from '../../src/sources/provenance.js';
import type { Source } from '../../src/sources/source.js';
import { Encoder } from '../../src/text/encoding.js';
import type { Example } from '../../src/text/example.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { decode, drain, origins, pairs, sumJudge, throughJson } from '../sources/helpers.js';
import { styles, wordTokenizer } from '../text/tokenizers.js';

const rows = [
  { prompt: 'hi', chosen: ' there', rejected: ' there all', margin: 2 },
  { prompt: 'hi', chosen: ' you all', rejected: ' no' },
  { prompt: 'hi', chosen: ' you', rejected: ' all' },
  { prompt: 'no', chosen: ' no', rejected: ' no no' },
];

/** Prefers more words; a golden judge may label. */
const longer = functionJudge({ name: 'longer', version: '3', role: 'golden' }, ({ response }) =>
  response.text.includes('no') && !response.text.includes('no no')
    ? null
    : response.text.trim().split(' ').length,
);

test('a dataset is labelled anew: turned round, dropped as ties, failed, with its lineage', async (t) => {
  const encoder = new Encoder(await wordTokenizer(t, styles.qwen!));
  const dataset = await openRows(rows, { name: 'rows' });
  const result = await relabel(dataset, { judge: longer, encoder });
  const records = await result.dataset.toArray();
  t.deepEqual(records, [
    {
      kind: 'preference',
      origin: 'rows[0]',
      prompt: 'hi',
      chosen: ' there all',
      rejected: ' there',
    },
  ]);
  t.like(result, { changed: 1, ties: 1, failed: 2, dropped: 0 });
  t.deepEqual(result.examples, [encoder.encode(records[0]!).example!]);
  t.like(result.dataset.describe(), {
    ablation: 'relabel',
    judge: { name: 'longer', version: '3' },
    ties: 'drop',
    of: [dataset.describe()],
  });
  const keep = await relabel(dataset, { judge: longer, encoder, ties: 'first' });
  t.deepEqual(
    (await keep.dataset.toArray()).map(({ origin }) => origin),
    ['rows[0]', 'rows[2]'],
  );
  t.not(keep.dataset.describe().sha256, result.dataset.describe().sha256);
  const texts = await openRows([{ text: 'hi' }]);
  const wrong = await caught(() => relabel(texts, { judge: longer, encoder }));
  assertError(t, wrong, 'DATA_INVALID', 'needs pairs', '"text"');
});

test('judges that prefer what they see first change nothing in both orders', async (t) => {
  const encoder = new Encoder(await wordTokenizer(t, styles.qwen!));
  const first: Judge = functionPairJudge({ name: 'first', version: '1' }, () => 1);
  const dataset = await openRows(rows);
  const none = await caught(() => relabel(dataset, { judge: first, encoder }));
  assertError(t, none, 'DATA_INVALID', '"first" left no pair: 4 ties and 0 failures');
  const kept = await relabel(dataset, { judge: first, encoder, ties: 'first' });
  t.like(kept, { ties: 4, changed: 0 });
  t.is(kept.examples.length, 4);
});

test('recorded pairs are relabelled from their tokens', async (t) => {
  const options = { judge: sumJudge, decode, decodePrompt: decode };
  const { pairs: labelled } = await relabelExamples(pairs(3), options);
  // The second response is [4, i, 2], the first [3, i].
  t.true(labelled.every(({ swapped }) => swapped));
  t.deepEqual([...labelled[1]!.example.responses[0]!.tokens], [4, 1, 2]);
  const group: Example = { ...pairs(1)[0]!, kind: 'group' };
  const wrong = await caught(() => relabelExamples([group], options));
  assertError(t, wrong, 'DATA_INVALID', 'row:0', '"group"');
});

test('a fraction of the labels is flipped, of pairs and of labelled completions', async (t) => {
  const examples = pairs(4000);
  const noisy = flipLabels(examples, { fraction: 0.3, seed: 1 });
  const wrong = noisy.filter(({ responses }, i) => responses[0] === examples[i]!.responses[1]);
  t.true(Math.abs(wrong.length - 1200) < 145); // five standard deviations of 29
  t.true(wrong.every(({ responses }) => responses[1]!.tokens[0] === 3));
  t.deepEqual(flipLabels(examples, { fraction: 0.3, seed: 1 }), noisy);
  t.notDeepEqual(flipLabels(examples, { fraction: 0.3, seed: 2 }), noisy);
  t.deepEqual(flipLabels(examples, { fraction: 0, seed: 1 }), examples);
  const samples = [0, 1].map((sample) => ({
    generator: { id: 'policy', step: 0 },
    sample,
    seed: String(sample),
  }));
  const provenance = { outcome: 'delivered', tie: false, draw: 0, sampling: {}, samples } as const;
  const sampled: SampledExample = { ...examples[0]!, provenance };
  const [turned] = flipLabels([sampled], { fraction: 1, seed: 1 });
  t.deepEqual(
    provenanceOf(turned!)!.samples.map(({ sample }) => sample),
    [1, 0],
    'it says where each response came from, in their order',
  );
  const all = flipLabels(examples, { fraction: 1, seed: 1 });
  t.deepEqual(flipLabels(all, { fraction: 1, seed: 9 }), examples);
  const { responses, ...rest } = pairs(1)[0]!;
  const good: Example = { ...rest, kind: 'completion', responses: [responses[0]!], label: true };
  t.is(flipLabels([good], { fraction: 1, seed: 1 })[0]!.label, false);
  const { label: _, ...plain } = good;
  const none = await caught(() => flipLabels([plain], { fraction: 1, seed: 1 }));
  assertError(t, none, 'DATA_INVALID', 'row:0', 'no label');
  const odd = await caught(() => flipLabels(examples, { fraction: 1.1, seed: 1 }));
  assertError(t, odd, 'OPTION_INVALID', '1.1');
});

const base = (): Source => datasetSource({ examples: pairs(40), epochs: 2, order: 'shuffled' });
const judged = { judge: sumJudge, decode, decodePrompt: decode };
const sources: Readonly<Record<string, () => Source>> = {
  flipped: () => flipped(base(), { fraction: 0.4, seed: 3 }),
  thinned: () => thinned(base(), { fraction: 0.4, seed: 3 }),
  rejudged: () => rejudged(base(), judged),
  nested: () => flipped(thinned(base(), { fraction: 0.5, seed: 1 }), { fraction: 0.5, seed: 2 }),
};

for (const [name, make] of Object.entries(sources)) {
  test(`${name} sources go on exactly from a saved state`, async (t) => {
    const all = await drain(make(), 3);
    t.deepEqual(await drain(make(), 3), all);
    const started = make();
    await drain(started, 3, 7);
    const resumed = make();
    resumed.restore(throughJson(started));
    t.deepEqual(await drain(resumed, 3), all.slice(7));
    t.like(make().describe(), {
      of: name === 'nested' ? { source: 'thinned' } : base().describe(),
    });
  });
}

test('flipping keeps the number of examples, thinning keeps about a share of them', async (t) => {
  t.is((await drain(sources.flipped!(), 5)).flat().length, 80);
  t.is(sources.flipped!().size, base().size);
  const kept = (await drain(sources.thinned!(), 5)).flat().length;
  t.true(Math.abs(kept - 32) < 22); // five standard deviations of 4.4
  t.is(sources.thinned!().size, undefined);
  const none = await caught(() => thinned(base(), { fraction: 0, seed: 1 }));
  assertError(t, none, 'OPTION_INVALID', 'nothing to train on');
});

test('rejudging reports what it changed and refuses golden judges', async (t) => {
  const source = rejudged(base(), judged);
  const taken = await source.take(4, { step: 0 });
  t.true(taken.every(({ responses }) => responses[0]!.tokens[0] === 4));
  t.like(source.metrics?.(), { 'relabel/changed': 1, 'relabel/ties': 0, 'relabel/failed': 0 });
  // @ts-expect-error -- a golden judge must not train a policy
  const refused = await caught(() => rejudged(base(), { ...judged, judge: longer }));
  assertError(t, refused, 'OPTION_INVALID', '"golden"');
});

test('a transformation that fails has taken nothing', async (t) => {
  let failures = 2;
  const source = transformed(base(), {
    description: { source: 'fails' },
    keepsCount: true,
    apply: (examples) => {
      if (failures-- > 0) throw new Error('out of order');
      return examples;
    },
  });
  const before = throughJson(source);
  await t.throwsAsync(source.take(3, { step: 0 }), { message: 'out of order' });
  t.deepEqual(throughJson(source), before);
  await t.throwsAsync(source.take(3, { step: 0 }));
  const expected = await base().take(3, { step: 0 });
  t.deepEqual(origins(await source.take(3, { step: 0 })), origins(expected));
});

test('a transformation that leaves nothing for long is told apart from the end of the data', async (t) => {
  const endless = datasetSource({ examples: pairs(4) });
  const empty = transformed(endless, { description: {}, apply: () => [] });
  const error = await caught(() => empty.take(2, { step: 0 }));
  assertError(t, error, 'DATA_INVALID', 'Nothing was left of 64 takes of 2');
  const ended = transformed(base(), { description: {}, apply: () => [] });
  t.deepEqual(await ended.take(8, { step: 0 }), []);
});
