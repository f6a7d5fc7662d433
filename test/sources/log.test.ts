// The experience log: bit for bit there and back, after crashes and after cutting back; replays.
import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { datasetSource } from '../../src/sources/dataset.js';
import { ExperienceLog, readExperience, recording } from '../../src/sources/experience-log.js';
import {
  type ExperienceRecord,
  decodeRecord,
  encodeRecord,
} from '../../src/sources/experience-record.js';
import { onPolicyPairs } from '../../src/sources/on-policy-pairs.js';
import type { SampledExample } from '../../src/sources/provenance.js';
import { type ReplayOptions, replay } from '../../src/sources/replay.js';
import type { Source } from '../../src/sources/source.js';
import type { Example } from '../../src/text/example.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import {
  decode,
  drain,
  origins,
  pairStub,
  pairs,
  perturb,
  prompts,
  provenance,
  sampling,
  throughJson,
  tinyPolicy,
} from './helpers.js';

const scratch = async (t: ExecutionContext): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'alignlab-log-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
};

const records = async (path: string): Promise<ExperienceRecord[]> => {
  const found: ExperienceRecord[] = [];
  for await (const record of readExperience(path)) found.push(record);
  return found;
};

/** Every prompt whose number is 2 ends in a tie, 5 in a failure. */
const judge = pairStub(({ columns, first, second }) => {
  if (columns!.number === 2) return 0.5;
  if (columns!.number === 5) return null;
  return first.tokens[0]! > second.tokens[0]! ? 0.75 : 0.25;
}, true);

const onPolicy = async (t: ExecutionContext): Promise<Source> => {
  const reference = await tinyPolicy(t, { seed: 4, trainable: false });
  return onPolicyPairs({
    policy: await tinyPolicy(t),
    reference,
    prompts,
    judge,
    decode,
    sampling,
  });
};

const bits = (values: Float32Array): number[] => [
  ...new Uint32Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength)),
];

test('every f32 survives a line of JSON, signs of zeros and infinities too', (t) => {
  const words = Uint32Array.from({ length: 20_000 }, (_, i) => Math.imul(i + 1, 2654435761));
  const random = new Float32Array(words.buffer).filter((value) => !Number.isNaN(value));
  const edges = [0, -0, 1e-45, -1e-45, 3.4028234e38, 1.1754944e-38, Infinity, -Infinity, NaN, 0.1];
  const behaviour = Float32Array.from([...edges, ...random]);
  const example: Example = {
    kind: 'group',
    prompt: Int32Array.of(1),
    responses: [{ tokens: Int32Array.of(2), behaviour, reward: 0.1 + 0.2, truncated: false }],
    origin: 'a "quoted"\nname\u2028',
  };
  const line = encodeRecord(example, { step: 1, batch: 2, place: 3 });
  t.false(line.includes('\n'));
  const { example: back, ...position } = decodeRecord(line);
  t.deepEqual(position, { step: 1, batch: 2, place: 3 });
  t.deepEqual(bits(back.responses[0]!.behaviour!), bits(behaviour));
  t.deepEqual(back, example);
});

test('everything about a sample is on record, what was dropped too', async (t) => {
  const path = join(await scratch(t), 'completions.jsonl');
  await using log = await ExperienceLog.open(path);
  const own = recording(await onPolicy(t), log);
  const taken = [await own.take(4, { step: 0 }), await own.take(4, { step: 1 })];
  const found = await records(path);
  t.deepEqual(
    found.map(({ step, batch, place }) => [step, batch, place]),
    [
      [0, 0, 0],
      [0, 0, 1],
      [0, 0, 2],
      [0, 0, null],
      [1, 1, 0],
      [1, 1, 1],
      [1, 1, 2],
      [1, 1, null],
    ],
  );
  const delivered = found.filter(({ place }) => place !== null).map(({ example }) => example);
  t.deepEqual(delivered, taken.flat());
  t.deepEqual(
    found.filter(({ place }) => place === null).map(({ example }) => provenance(example).outcome),
    ['tie', 'judge-failed'],
  );
  const {
    sampling: settings,
    judge: asked,
    verdicts,
    samples,
    promptText,
    draw,
  } = provenance(delivered[4]!);
  t.like(settings, {
    temperature: 1,
    maxNewTokens: 6,
    stopTokens: [2],
    topK: 0,
    seed: '0',
    syncEvery: 1,
  });
  t.deepEqual(asked, { name: 'stub', version: '7' });
  t.is(verdicts![0]!.orders!.length, 2);
  t.deepEqual(
    samples.map(({ generator }) => generator),
    Array(2).fill({ id: 'policy', step: 1 }),
  );
  t.deepEqual([promptText, draw], ['prompt 6', 6]);
  for (const [r, response] of delivered[4]!.responses.entries()) {
    t.is(response.behaviour!.length, response.tokens.length);
    t.is(response.reference!.length, response.tokens.length);
    t.is(samples[r]!.text, decode(response.tokens));
    t.regex(samples[r]!.seed, /^\d+$/);
  }
});

test('a half last line, as a crash leaves it, is dropped', async (t) => {
  const path = join(await scratch(t), 'completions.jsonl');
  const lines = pairs(6).map((example, place) =>
    encodeRecord(example, { step: 0, batch: 0, place }),
  );
  const text = lines.map((line) => `${line}\n`).join('');
  const fifth = text.length - lines[5]!.length - 1;
  for (const cut of [fifth, fifth + 1, text.length - 2, text.length - 1]) {
    await writeFile(path, text.slice(0, cut));
    t.is((await records(path)).length, 5, 'a reader leaves it out');
    const log = await ExperienceLog.open(path);
    t.is(log.droppedBytes, cut - fifth);
    t.is(log.offset, fifth);
    await log.append([lines[5]!]);
    await log.close();
    t.is(await readFile(path, 'utf8'), text);
  }
  await writeFile(path, lines[0]!.slice(0, 20));
  await using log = await ExperienceLog.open(path);
  t.is(log.offset, 0);
});

test('a long log with line separators inside texts is read whole', async (t) => {
  const path = join(await scratch(t), 'completions.jsonl');
  const examples = pairs(3000, 'a\u2028b\u0085c\r');
  const log = await ExperienceLog.open(path);
  await log.append(
    examples.map((example, place) => encodeRecord(example, { step: 0, batch: 0, place })),
  );
  await log.close();
  const found = await records(path);
  t.deepEqual(
    found.map(({ example }) => example),
    examples,
  );
});

test('a long half line is found as well', async (t) => {
  const path = join(await scratch(t), 'completions.jsonl');
  await writeFile(path, `{"a":1}\n${'x'.repeat(300_000)}`);
  await using log = await ExperienceLog.open(path);
  t.is(log.offset, 8);
  t.is(log.droppedBytes, 300_000);
});

test('a line that is no record is named', async (t) => {
  const path = join(await scratch(t), 'completions.jsonl');
  const [good] = pairs(1).map((example) => encodeRecord(example, { step: 0, batch: 0, place: 0 }));
  for (const bad of ['{"step":', '{"step":1}', good!.replace('"pair"', '"triple"')]) {
    await writeFile(path, `${good!}\n${bad}\n${good!}\n`);
    assertError(t, await caught(() => records(path)), 'DATA_INVALID', `${path}:2`);
  }
  const absent = join(path, 'absent');
  assertError(t, await caught(() => records(absent)), 'IO_FAILED');
  assertError(t, await caught(() => ExperienceLog.open(absent)), 'IO_FAILED');
});

test('resumed from a checkpoint, the log is cut back and goes on to the same bytes', async (t) => {
  const folder = await scratch(t);
  const run = async (name: string, stop: number): Promise<string> => {
    const path = join(folder, name);
    let log = await ExperienceLog.open(path);
    let own = recording(await onPolicy(t), log);
    for (let step = 0; step < 5; ++step) {
      if (step === stop) {
        const state = throughJson(own);
        // Two more steps and half a line that the checkpoint knows nothing of.
        await own.take(3, { step });
        await own.take(3, { step: step + 1 });
        await log.close();
        await appendFile(path, '{"step": 7, "ba');
        log = await ExperienceLog.open(path);
        own = recording(await onPolicy(t), log);
        own.restore(state);
        t.deepEqual(own.state(), state, 'restored and at once saved again');
      }
      await own.take(3, { step });
    }
    await log.close();
    return readFile(path, 'utf8');
  };
  const whole = await run('whole.jsonl', 9);
  t.is(await run('resumed.jsonl', 2), whole);
  t.is(await run('at-start.jsonl', 0), whole);
});

test('a log that is not of this run is refused', async (t) => {
  const path = join(await scratch(t), 'completions.jsonl');
  await using log = await ExperienceLog.open(path);
  const own = recording(datasetSource({ examples: pairs(6) }), log);
  await own.take(4, { step: 0 });
  const state = throughJson(own);
  for (const offset of [log.offset - 3, 2]) {
    await truncate(path, offset);
    const resumed = recording(datasetSource({ examples: pairs(6) }), log);
    resumed.restore(state);
    const error = await caught(() => resumed.take(1, { step: 1 }));
    assertError(t, error, 'RUN_INVALID', 'not the log of this run');
  }
});

const recorded = async (t: ExecutionContext): Promise<{ path: string; batches: Example[][] }> => {
  const path = join(await scratch(t), 'completions.jsonl');
  await using log = await ExperienceLog.open(path);
  const policy = await tinyPolicy(t);
  const reference = await tinyPolicy(t, { seed: 4, trainable: false });
  const own = recording(
    onPolicyPairs({ policy, reference, prompts, judge, decode, sampling, order: 'shuffled' }),
    log,
  );
  const batches: Example[][] = [];
  for (let step = 0; step < 8; ++step) {
    batches.push([...(await own.take(4, { step }))]);
    await perturb(policy);
  }
  return { path, batches };
};

test('a replay in order gives the same batches, bit for bit', async (t) => {
  const { path, batches } = await recorded(t);
  t.true(new Set(batches.map(({ length }) => length)).size > 1, 'dropped ties make them uneven');
  const own = await replay({ log: path, recordedReference: true });
  t.deepEqual(await drain(own, 4), batches);
  const anew = await drain(await replay({ log: path }), 4);
  t.true(anew.flat().every(({ responses }) => responses.every((each) => !('reference' in each))));
  t.deepEqual(anew.map(origins), batches.map(origins));
  t.is((await drain(await replay({ log: path, epochs: 2 }), 4)).length, 16);
});

test('a replay of the record of a replay is the same again', async (t) => {
  const { path, batches } = await recorded(t);
  const copy = `${path}.copy`;
  await using log = await ExperienceLog.open(copy);
  await drain(recording(await replay({ log: path, recordedReference: true }), log), 4);
  const again = await replay({ log: copy, recordedReference: true });
  t.deepEqual(await drain(again, 4), batches);
});

test('shuffled replays: all of it once, within windows or anywhere', async (t) => {
  const { path, batches } = await recorded(t);
  const all = origins(batches.flat());
  const order = async (options: Partial<ReplayOptions>): Promise<string[]> =>
    origins((await drain(await replay({ log: path, ...options }), 4)).flat());
  const windows = await order({ order: 'windows', window: 3 });
  t.notDeepEqual(windows, all);
  let begin = 0;
  for (const end of [3, 6, 8].map((batch) => batches.slice(0, batch).flat().length)) {
    t.deepEqual(windows.slice(begin, end).toSorted(), all.slice(begin, end).toSorted());
    begin = end;
  }
  const shuffled = await order({ order: 'shuffled' });
  t.notDeepEqual(shuffled, all);
  t.deepEqual(shuffled.toSorted(), all.toSorted());
  t.deepEqual(await order({ order: 'shuffled', seed: 0 }), shuffled);
  t.notDeepEqual(await order({ order: 'shuffled', seed: 1 }), shuffled);
  t.deepEqual((await order({ order: 'windows', window: 100 })).toSorted(), all.toSorted());
});

test('a replay resumed anywhere goes on exactly', async (t) => {
  const { path } = await recorded(t);
  for (const options of [{}, { order: 'windows', window: 2 }, { order: 'shuffled' }] as const) {
    const make = () => replay({ log: path, epochs: 2, ...options });
    const whole = await drain(await make(), 3);
    for (const stop of [1, 4, 9]) {
      const first = await make();
      const before = await drain(first, 3, stop);
      const resumed = await make();
      resumed.restore(throughJson(first));
      t.deepEqual([...before, ...(await drain(resumed, 3))], whole);
    }
  }
});

test('what cannot be replayed is refused', async (t) => {
  const path = join(await scratch(t), 'completions.jsonl');
  await writeFile(path, '');
  const refused = async (
    options: Partial<ReplayOptions>,
    code: Parameters<typeof assertError>[2],
  ) => {
    assertError(t, await caught(() => replay({ log: path, ...options })), code);
  };
  await refused({}, 'DATA_INVALID');
  await refused({ order: 'windows' }, 'OPTION_INVALID');
  await refused({ window: 3 }, 'OPTION_INVALID');
  await refused({ order: 'windows', window: Infinity }, 'OPTION_INVALID');
  await refused({ order: 'backwards' as 'recorded' }, 'OPTION_INVALID');
  await refused({ log: `${path}.absent` }, 'IO_FAILED');
});

test('a record keeps what the types say, and nothing is lost on the way', (t) => {
  const sampled: SampledExample = {
    kind: 'group',
    prompt: Int32Array.of(1, 2),
    responses: [
      {
        tokens: Int32Array.of(3),
        behaviour: Float32Array.of(-1),
        reward: null,
        truncated: true,
        fromReference: false,
      },
    ],
    label: true,
    margin: 0.25,
    origin: 'o',
    provenance: {
      outcome: 'judge-failed',
      tie: false,
      draw: 4,
      sampling: { temperature: 0.7, stopTokens: [2] },
      judge: { name: 'j', version: '1' },
      verdicts: [{ samples: [0, 1], preference: null, reason: 'no answer' }],
      promptText: [{ role: 'user', content: 'hello' }],
      samples: [
        {
          generator: { id: 'policy', step: 3 },
          sample: 0,
          seed: '18446744073709551615',
          processed: Float32Array.of(-0),
        },
      ],
      opponent: {
        response: { tokens: Int32Array.of(9), behaviour: Float32Array.of(-2) },
        sample: { generator: { id: 'mixture(0.5)', step: 3 }, sample: 1, seed: '1', text: 'x' },
      },
    },
  };
  t.deepEqual(
    decodeRecord(encodeRecord(sampled, { step: 3, batch: 1, place: null })).example,
    sampled,
  );
});
