// Whatever is wrong with what a caller passes: an error with its code that names the place, and a
// model that works as before.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { Batch } from '../../src/engine/batch.js';
import { setMemoryLimit, setThreads } from '../../src/engine/device.js';
import type { SamplingOptions } from '../../src/engine/generate.js';
import type { Dtype } from '../../src/engine/load.js';
import { LanguageModel } from '../../src/engine/model.js';
import type { ErrorCode } from '../../src/errors.js';
import { assertError, caught, smallConfig, temporaryFolder } from '../checkpoint/helpers.js';
import { assertBitEqual } from '../helpers/arrays.js';
import { randomForest } from '../helpers/forests.js';
import { golden, load } from '../helpers/models.js';

const forest = randomForest(1, { segments: 6 });

/** Runs the attempts, checking after each that the model scores as before. */
const unharmed = async (
  t: Parameters<typeof load>[0],
  attempts: (model: LanguageModel) => readonly (() => Promise<void>)[],
): Promise<void> => {
  const model = await load(t, golden('llama'));
  const { logProbs } = await model.score(forest);
  for (const attempt of attempts(model)) {
    await attempt();
    assertBitEqual(t, (await model.score(forest)).logProbs, logProbs, 'scores afterwards');
  }
};

const long = (length: number): Int32Array => new Int32Array(length).fill(3);
const badBatches: readonly (readonly [string, unknown, ErrorCode, string])[] = [
  ['an empty batch', [], 'BATCH_INVALID', 'no segments'],
  ['an empty segment', [{ tokens: [1] }, { tokens: [] }], 'BATCH_INVALID', 'segment 1'],
  ['an empty typed segment', [{ tokens: new Int32Array() }], 'BATCH_INVALID', 'segment 0'],
  ['no tokens', [{}], 'BATCH_INVALID', 'segment 0'],
  ['text', [{ tokens: 'hello' }], 'BATCH_INVALID', 'segment 0'],
  ['floats', [{ tokens: new Float32Array(3) }], 'BATCH_INVALID', 'segment 0'],
  ['no segment', [null], 'BATCH_INVALID', 'segment 0'],
  ['no list', { tokens: [1, 2] }, 'BATCH_INVALID', 'list'],
  ['a token past the vocabulary', [{ tokens: [1, 320] }], 'TOKEN_OUT_OF_RANGE', '320'],
  ['a negative token', [{ tokens: [1, -1] }], 'TOKEN_OUT_OF_RANGE', '-1'],
  ['a typed negative token', [{ tokens: Int32Array.of(4, -7) }], 'TOKEN_OUT_OF_RANGE', '-7'],
  [
    'a typed token past it',
    [{ tokens: Int32Array.of(4, 2 ** 30) }],
    'TOKEN_OUT_OF_RANGE',
    'place 1',
  ],
  ['a mark that is none', [{ tokens: [1, 2], scored: 'no' }], 'BATCH_INVALID', 'scored'],
  ['a fraction', [{ tokens: [1, 2.5] }], 'TOKEN_OUT_OF_RANGE', '2.5'],
  ['no number', [{ tokens: [1, NaN] }], 'TOKEN_OUT_OF_RANGE', 'NaN'],
  ['a huge token', [{ tokens: [1, 2 ** 32 + 1] }], 'TOKEN_OUT_OF_RANGE', '4294967297'],
  ['its own parent', [{ tokens: [1], parent: 0 }], 'BATCH_INVALID', 'segment 0'],
  [
    'a parent further on',
    [{ tokens: [1], parent: 1 }, { tokens: [2] }],
    'BATCH_INVALID',
    'segment 0',
  ],
  [
    'a cycle',
    [{ tokens: [1] }, { tokens: [1], parent: 2 }, { tokens: [1], parent: 1 }],
    'BATCH_INVALID',
    'segment 1',
  ],
  ['a negative parent', [{ tokens: [1] }, { tokens: [1], parent: -2 }], 'BATCH_INVALID', '-2'],
  ['a parent of -1', [{ tokens: [1] }, { tokens: [1], parent: -1 }], 'BATCH_INVALID', '-1'],
  ['a fractional parent', [{ tokens: [1] }, { tokens: [1], parent: 0.5 }], 'BATCH_INVALID', '0.5'],
  [
    'a huge parent',
    [{ tokens: [1] }, { tokens: [1], parent: 2 ** 32 }],
    'BATCH_INVALID',
    '4294967296',
  ],
  ['a long sequence', [{ tokens: long(129) }], 'SEQUENCE_TOO_LONG', '128 positions'],
  [
    'a long path',
    [{ tokens: long(100) }, { tokens: long(29), parent: 0 }],
    'SEQUENCE_TOO_LONG',
    'segment 1',
  ],
];

test('bad batches', (t) =>
  unharmed(t, (model) =>
    badBatches.flatMap(([what, batch, code, ...parts]) =>
      (['score', 'forward'] as const).map((method) => async () => {
        t.log(what, method);
        assertError(t, await caught(() => model[method](batch as Batch)), code, ...parts);
      }),
    ),
  ));

const badSampling: readonly (readonly [string, Partial<Record<keyof SamplingOptions, unknown>>])[] =
  [
    ['temperature', { temperature: -1 }],
    ['temperature', { temperature: NaN }],
    ['temperature', { temperature: Infinity }],
    ['temperature', { temperature: '1' }],
    ['topK', { topK: -1 }],
    ['topK', { topK: 1.5 }],
    ['topP', { topP: 0 }],
    ['topP', { topP: 1.1 }],
    ['topP', { topP: NaN }],
    ['minP', { minP: -0.1 }],
    ['minP', { minP: 2 }],
    ['repetitionPenalty', { repetitionPenalty: 0 }],
    ['presencePenalty', { presencePenalty: NaN }],
    ['frequencyPenalty', { frequencyPenalty: Infinity }],
    ['maxNewTokens', { maxNewTokens: -1 }],
    ['maxNewTokens', { maxNewTokens: 2 ** 31 }],
    ['minNewTokens', { minNewTokens: 9, maxNewTokens: 8 }],
    ['minNewTokens', { minNewTokens: NaN }],
    ['stop token', { stopTokens: [320] }],
    ['stop token', { stopTokens: [-1] }],
    ['stop', { stopTokens: [1.5] }],
    ['stopTokens', { stopTokens: Array.from({ length: 320 }, (_, i) => i), minNewTokens: 1 }],
    ['stop string', { stopStrings: [''], decode: String }],
    ['samples', { samples: 0 }],
    ['samples', { samples: 1.5 }],
    ['seed', { seed: 0.5 }],
    ['seed', { seed: NaN }],
    ['seed', { seed: 'seven' }],
    ['maxBatch', { maxBatch: 0 }],
    ['maxBatch', { maxBatch: NaN }],
    ['maxBatch', { maxBatch: 2 ** 32 + 1 }],
  ];

test('bad sampling options are refused by name', (t) =>
  unharmed(t, (model) =>
    badSampling.map(([name, options]) => async () => {
      t.log(JSON.stringify(options));
      const sampling = { maxNewTokens: 8, ...options } as SamplingOptions;
      assertError(
        t,
        await caught(() => model.generate([[1, 2]], sampling)),
        'OPTION_INVALID',
        name,
      );
    }),
  ));

test('bad prompts', (t) =>
  unharmed(t, (model) =>
    (
      [
        [[[1], []], 'BATCH_INVALID', 'prompt 1'],
        [[[320]], 'TOKEN_OUT_OF_RANGE', 'prompt 0'],
        [[[1], [-1]], 'TOKEN_OUT_OF_RANGE', 'prompt 1'],
        [[[0.5]], 'TOKEN_OUT_OF_RANGE', '0.5'],
        [[long(121)], 'SEQUENCE_TOO_LONG', '121'],
        [[long(1000)], 'SEQUENCE_TOO_LONG', '1000'],
      ] as const
    ).map(([prompts, code, part]) => async () => {
      const error = await caught(() => model.generate(prompts, { maxNewTokens: 8 }));
      assertError(t, error, code, part);
    }),
  ));

test('bad options of loading', async (t) => {
  const attempt = (options: object) => caught(() => LanguageModel.load(golden('llama'), options));
  const int8 = 'int8' as Dtype;
  assertError(t, await attempt({ dtype: int8 }), 'OPTION_INVALID', 'int8');
  assertError(t, await attempt({ device: 'tpu' }), 'DEVICE_UNAVAILABLE', 'tpu');
  assertError(t, await attempt({ scalarHead: 0 }), 'OPTION_INVALID', 'scalarHead');
  const config = smallConfig('llama');
  assertError(
    t,
    await caught(() => LanguageModel.create(config, { dtype: int8 })),
    'OPTION_INVALID',
  );
  for (const seed of [0.5, NaN]) {
    assertError(
      t,
      await caught(() => LanguageModel.create(config, { seed })),
      'OPTION_INVALID',
      'seed',
    );
  }
  const model = await load(t, golden('llama'));
  assertError(t, await caught(() => model.clone({ dtype: int8 })), 'OPTION_INVALID', 'int8');
});

test('bad options of saving, which save nothing', async (t) => {
  const folder = await temporaryFolder(t);
  const model = await load(t, golden('llama'));
  const path = join(folder, 'model');
  for (const [name, options] of [
    ['dtype', { dtype: 'I8' as 'F32' }],
    ['maxShardBytes', { maxShardBytes: NaN }],
    ['maxShardBytes', { maxShardBytes: 0 }],
  ] as const) {
    assertError(t, await caught(() => model.save(path, options)), 'OPTION_INVALID', name);
  }
  await mkdir(path);
  assertError(t, await caught(() => model.saveGradients(path)), 'IO_FAILED', path);
  await writeFile(join(folder, 'file'), '');
  const file = join(folder, 'file');
  assertError(t, await caught(() => model.saveOptimizer(file)), 'IO_FAILED', file);
  const below = join(file, 'gradients');
  assertError(t, await caught(() => model.saveGradients(below)), 'IO_FAILED', file);
  t.deepEqual((await readdir(folder)).sort(), ['file', 'model']);
});

test('bad options of estimating', async (t) => {
  for (const [name, options] of [
    ['tokens', { tokens: -5 }],
    ['tokens', { tokens: NaN }],
    ['scored', { tokens: 5, scored: 0.5 }],
    ['dtype', { tokens: 5, dtype: 'int8' as Dtype }],
  ] as const) {
    const error = await caught(() => LanguageModel.estimateMemory(golden('llama'), options));
    assertError(t, error, 'OPTION_INVALID', name);
  }
});

test('bad settings of the machine', async (t) => {
  for (const threads of [0, -1, 1.5, NaN, 2000]) {
    assertError(t, await caught(() => setThreads(threads)), 'OPTION_INVALID', 'threads');
  }
  for (const bytes of [-1, NaN, 0.5, Infinity]) {
    assertError(
      t,
      await caught(() => {
        setMemoryLimit(bytes);
      }),
      'OPTION_INVALID',
      'limit',
    );
  }
});

test('bad places of scalars', async (t) => {
  const model = await load(t, golden('llama'), { scalarHead: 1 });
  for (const at of [-1, 3, 2 ** 30]) {
    const scalarAt = Int32Array.of(at);
    const error = await caught(() => model.score([{ tokens: [1, 2, 3] }], { scalarAt }));
    assertError(t, error, 'BATCH_INVALID', String(at));
  }
  const scalarAt = [1] as unknown as Int32Array;
  const error = await caught(() => model.score([{ tokens: [1, 2, 3] }], { scalarAt }));
  assertError(t, error, 'BATCH_INVALID', 'Int32Array');
});

test('coefficients and partners of another kind', (t) =>
  unharmed(t, (model) => [
    async () => {
      using pass = await model.forward([{ tokens: [1, 2, 3] }]);
      for (const values of [[1, 2], new Float64Array(2), null]) {
        const logProbs = values as unknown as Float32Array;
        const error = await caught(() => pass.backward({ logProbs }));
        assertError(t, error, 'BATCH_INVALID', 'logProbs', 'Float32Array');
      }
    },
    async () => {
      const other: unknown = {};
      assertError(
        t,
        await caught(() => model.kl(other as LanguageModel, forest)),
        'OPTION_INVALID',
        'LanguageModel',
      );
    },
  ]));
