// Plans of steps, early stopping, and what a person sees of a run.
import { Writable } from 'node:stream';
import test from 'ava';
import { EarlyStop, type EarlyStopOptions } from '../../src/training/early-stop.js';
import { type StepPlan, plannedSteps } from '../../src/training/evaluation-schedule.js';
import { Progress, Speed, clock } from '../../src/training/progress.js';
import type { TrainStep } from '../../src/training/run.js';
import { assertError, caught } from '../checkpoint/helpers.js';

test('plans of steps', (t) => {
  t.deepEqual(plannedSteps(3, 10), [3, 6, 9]);
  t.deepEqual(plannedSteps(3, 10, { atStart: true, atEnd: true }), [0, 3, 6, 9, 10]);
  t.deepEqual(plannedSteps(5, 10, { atEnd: true }), [5, 10]);
  t.deepEqual(plannedSteps(0.25, 10), [3, 6, 9]);
  t.deepEqual(plannedSteps([8, 2, 2, 40, 0], 10), [0, 2, 8]);
  t.deepEqual(plannedSteps(20, 10), []);
  t.deepEqual(plannedSteps({ perDecade: 3 }, 100), [1, 2, 5, 10, 22, 46, 100]);
  t.deepEqual(plannedSteps({ perDecade: 3, until: 10, every: 20 }, 80), [1, 2, 5, 10, 30, 50, 70]);
  // From the last logarithmic spacing on.
  t.deepEqual(plannedSteps({ perDecade: 2, until: 10 }, 40), [1, 3, 10, 17, 24, 31, 38]);
  t.deepEqual(plannedSteps({ until: 1000, every: 10 }, 6), [1, 2, 3, 6]);
  t.deepEqual(plannedSteps(1, 0, { atStart: true, atEnd: true }), [0]);
});

test('plans that mean nothing are refused', async (t) => {
  const plans: readonly (readonly [StepPlan, number])[] = [
    [0, 10],
    [-1, 10],
    [1.5, 10],
    [NaN, 10],
    [[1, 2.5], 10],
    [[-1], 10],
    [{ perDecade: 0 }, 10],
    [{ until: 0 }, 10],
    [{ until: 5, every: 0.5 }, 10],
    [{ every: 5 }, 10],
    [1, Infinity],
  ];
  for (const [plan, steps] of plans) {
    const error = await caught(() => plannedSteps(plan, steps));
    assertError(t, error, 'OPTION_INVALID');
  }
});

const stopsAt = (options: Partial<EarlyStopOptions>, values: readonly number[]): number | null => {
  const metric = options.metric ?? 'eval_loss';
  let stop = new EarlyStop({ metric, patience: 2, ...options });
  for (const [i, value] of values.entries()) {
    const done = stop.update(i + 1, { [metric]: value, other: 0 });
    // A resumed run goes on from the state alone.
    const state = JSON.parse(JSON.stringify(stop.state())) as never;
    stop = new EarlyStop({ metric, patience: 2, ...options });
    stop.restore(state);
    if (done) return i + 1;
  }
  return null;
};

test('early stopping waits as long as it should', (t) => {
  t.is(stopsAt({}, [3, 2, 2.5, 1.9, 2, 2, 2]), 6);
  t.is(stopsAt({}, [3, 2, 1, 0.5]), null);
  t.is(stopsAt({}, [3, 3, 3]), 3, 'equal is not better');
  t.is(stopsAt({ minDelta: 0.5 }, [3, 2.6, 2.4, 2.3, 2.2]), 5);
  t.is(stopsAt({ metric: 'eval_rewards/accuracies' }, [0.5, 0.6, 0.7]), null);
  t.is(stopsAt({ metric: 'eval_rewards/accuracies' }, [0.7, 0.6, 0.5]), 3);
  t.is(stopsAt({ metric: 'kl', greaterIsBetter: false }, [0.7, 0.6, 0.5]), null);
  t.is(stopsAt({}, [NaN, NaN, 1]), 2, 'what is no number is never better');
  t.is(stopsAt({ patience: 1 }, [1, NaN]), 2);
});

test('early stopping remembers the best step, and refuses what it cannot watch', async (t) => {
  const stop = new EarlyStop({ metric: 'eval_loss', patience: 3 });
  [3, 1, 2].forEach((value, i) => stop.update((i + 1) * 10, { eval_loss: value }));
  t.is(stop.bestStep, 20);
  const missing = await caught(() => stop.update(40, { eval_kl: 1 }));
  assertError(t, missing, 'OPTION_INVALID', 'eval_loss', 'eval_kl');
  for (const wrong of [{ patience: 0 }, { patience: 1.5 }, { minDelta: -1 }, { metric: '' }]) {
    const make = () => new EarlyStop({ metric: 'eval_loss', patience: 1, ...wrong });
    assertError(t, await caught(make), 'OPTION_INVALID');
  }
  assertError(
    t,
    await caught(() => {
      stop.restore([1]);
    }),
    'RUN_INVALID',
  );
});

const stepOf = (index: number): TrainStep => ({
  index,
  loss: 0.25,
  gradNorm: 1,
  learningRate: 1e-3,
  tokens: index * 100,
  seconds: 0.5,
  metrics: {},
});

const screen = (isTTY: boolean) => {
  let text = '';
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      text += String(chunk);
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY }), text: () => text };
};

test('without a terminal, a line every so many steps and at the end', (t) => {
  const { stream, text } = screen(false);
  const progress = new Progress({ steps: 5, loggingSteps: 2, stream });
  for (let step = 1; step <= 5; step += 1) progress.step(stepOf(step));
  progress.line('saved checkpoint-5');
  progress.stop();
  t.deepEqual(text().trimEnd().split('\n'), [
    'step 2/5  loss 0.2500  lr 1.00e-3  200 tokens/s  ETA 0:02',
    'step 4/5  loss 0.2500  lr 1.00e-3  200 tokens/s  ETA 0:01',
    'step 5/5  loss 0.2500  lr 1.00e-3  200 tokens/s  ETA 0:00',
    'saved checkpoint-5',
  ]);
});

test('on a terminal, one bar', (t) => {
  const { stream, text } = screen(true);
  const progress = new Progress({ steps: 4, fromStep: 1, stream });
  progress.step(stepOf(2));
  progress.step(stepOf(3));
  progress.line('a line above');
  progress.stop();
  t.true(text().includes('3/4  loss 0.2500  200 tokens/s  ETA 0:01'), text());
  t.true(text().includes('a line above\n'));
});

test('rates look back on the last steps; a resumed run does not count what was before', (t) => {
  const speed = new Speed();
  t.true(Number.isNaN(speed.tokensPerSecond));
  speed.add({ tokens: 1_000_000, seconds: 1 });
  t.true(Number.isNaN(speed.tokensPerSecond));
  for (let i = 1; i <= 100; i += 1) {
    speed.add({ tokens: 1_000_000 + i * 10, seconds: i <= 50 ? 100 : 2 });
  }
  t.is(speed.tokensPerSecond, 5);
  t.is(speed.secondsPerStep, 2);
  t.deepEqual([clock(5), clock(75), clock(3675), clock(NaN)], ['0:05', '1:15', '1:01:15', '-']);
});
