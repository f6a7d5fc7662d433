// Learning rates by step: equal to transformers' get_scheduler.
import test from 'ava';
import { type ScheduleOptions, learningRateSchedule } from '../../src/training/schedule.js';
import { assertError, caught } from '../checkpoint/helpers.js';

const base = 5e-4;
const half = base / 2;

/**
 * Printed by transformers 5.18: get_scheduler on SGD with learning rate 5e-4, get_last_lr() before
 * each step; two steps past the end.
 */
const cases: readonly [ScheduleOptions, number, readonly number[]][] = [
  [{ type: 'constant' }, 3, [base, base, base, base, base]],
  [
    { type: 'constant_with_warmup', warmupSteps: 3 },
    5,
    [0, 0.00016666666666666666, 0.0003333333333333333, base, base, base, base],
  ],
  [
    { type: 'linear', warmupSteps: 2 },
    12,
    [
      0, 0.00025, 0.0005, 0.00045000000000000004, 0.0004, 0.00035, 0.0003, 0.00025, 0.0002, 0.00015,
      0.0001, 5e-5, 0, 0,
    ],
  ],
  [{}, 5, [0.0005, 0.0004, 0.0003, 0.0002, 0.0001, 0, 0]],
  [{ warmupSteps: 5 }, 5, [0, 0.0001, 0.0002, 0.0003, 0.0004, 0, 0]],
  [
    { type: 'cosine', warmupSteps: 3 },
    13,
    [
      0, 0.00016666666666666666, 0.0003333333333333333, 0.0005, 0.0004877641290737884,
      0.0004522542485937369, 0.0003969463130731183, 0.00032725424859373687, 0.00025,
      0.00017274575140626317, 0.00010305368692688174, 4.7745751406263163e-5, 1.2235870926211617e-5,
      0, 1.2235870926211617e-5,
    ],
  ],
  [
    { type: 'cosine', warmupSteps: 2, numCycles: 1.5 },
    11,
    [
      0, 0.00025, 0.0005, 0.000375, 0.00012500000000000006, 0, 0.0001249999999999999, 0.000375,
      0.0005, 0.0003750000000000001, 0.0001250000000000002, 0, 0.00012500000000000006,
    ],
  ],
  [
    { type: 'cosine_with_restarts', warmupSteps: 2, numCycles: 3 },
    14,
    [
      0,
      half,
      base,
      0.00042677669529663686,
      half,
      7.322330470336314e-5,
      base,
      0.00042677669529663686,
      half,
      7.322330470336314e-5,
      base,
      0.00042677669529663686,
      half,
      7.322330470336314e-5,
      0,
      0,
    ],
  ],
  [
    { type: 'cosine_with_min_lr', warmupSteps: 2, minLearningRate: 1e-4 },
    10,
    [
      0, 0.00025, 0.0005, 0.0004847759065022573, 0.0004414213562373095, 0.000376536686473018,
      0.00030000000000000003, 0.00022346331352698207, 0.00015857864376269052,
      0.00011522409349774265, 0.0001, 0.00011522409349774264,
    ],
  ],
  [
    { type: 'cosine_with_min_lr', warmupSteps: 1, minLearningRateRatio: 0.25 },
    10,
    [
      0, 0.0005, 0.0004886923663973579, 0.0004561333330848084, 0.00040625000000000004,
      0.0003450590333125495, 0.0002799409666874506, 0.00021875000000000006, 0.00016886666691519166,
      0.0001363076336026422, 0.000125, 0.00013630763360264218,
    ],
  ],
];

for (const [options, steps, expected] of cases) {
  test(`${JSON.stringify(options)} over ${steps} steps`, (t) => {
    const rate = learningRateSchedule(base, steps, options);
    expected.forEach((value, i) => {
      // A few roundings of a number of this size, of which cos and its sums make the most.
      t.true(Math.abs(rate(i + 1) - value) <= 4e-16 * base * 4, `step ${i + 1}: ${rate(i + 1)}`);
    });
  });
}

test('a warm-up may be a share of the run, rounded up', (t) => {
  const expected = learningRateSchedule(1, 11, { warmupSteps: 2 });
  for (const options of [{ warmupRatio: 0.1 }, { warmupSteps: 0.1 }]) {
    const rate = learningRateSchedule(1, 11, options);
    for (let step = 1; step <= 11; step += 1) t.is(rate(step), expected(step));
  }
});

test('what needs no end takes a run without one', (t) => {
  t.is(learningRateSchedule(1, Infinity, { type: 'constant' })(1e9), 1);
  t.is(learningRateSchedule(1, Infinity, { type: 'constant_with_warmup', warmupSteps: 4 })(3), 0.5);
});

test('options that would not act are refused', async (t) => {
  const refused: readonly [ScheduleOptions, number, string][] = [
    [{ type: 'exponential' as 'linear' }, 10, 'exponential'],
    [{ type: 'constant', warmupSteps: 3 }, 10, 'constant_with_warmup'],
    [{ warmupSteps: 3, warmupRatio: 0.1 }, 10, 'one of them'],
    [{ warmupSteps: 1.5 }, 10, 'warmupSteps'],
    [{ warmupSteps: -1 }, 10, 'warmupSteps'],
    [{ warmupRatio: 1.1 }, 10, 'warmupRatio'],
    [{ numCycles: 2 }, 10, 'numCycles'],
    [{ type: 'cosine', numCycles: 0 }, 10, 'numCycles'],
    [{ type: 'cosine', minLearningRate: 1e-5 }, 10, 'cosine_with_min_lr'],
    [{ type: 'cosine_with_min_lr' }, 10, 'one of minLearningRate'],
    [{ type: 'cosine_with_min_lr', minLearningRate: 1, minLearningRateRatio: 0 }, 10, 'one of'],
    [{ type: 'cosine_with_min_lr', minLearningRate: 1 }, 10, 'between'],
    [{}, Infinity, 'number of steps'],
    [{ type: 'constant_with_warmup', warmupRatio: 0.1 }, Infinity, 'number of steps'],
  ];
  for (const [options, steps, words] of refused) {
    const error = await caught(() => learningRateSchedule(base, steps, options));
    assertError(t, error, 'OPTION_INVALID', words);
  }
  const negative = await caught(() => learningRateSchedule(-1, 10));
  assertError(t, negative, 'OPTION_INVALID', 'learningRate');
});
