import test from 'ava';
import { logTicks, positionOf, rangeOf, spread, wrap } from '../../src/report/layout.js';
import { formatNumber } from '../../src/report/numbers.js';

test('ranges hold all values, with air, but none below zero or beyond an included end', (t) => {
  t.deepEqual(rangeOf({}, []), [0, 1]);
  t.deepEqual(rangeOf({ scale: 'log' }, []), [1, 10]);
  t.deepEqual(rangeOf({ include: [0] }, [10]), [0, 10.4]);
  t.deepEqual(rangeOf({ include: [0, 1] }, [0.5]), [0, 1]);
  t.deepEqual(rangeOf({}, [0]), [0, 1]);
  t.is(rangeOf({}, [0.01, 1])[0], 0);
  t.true(rangeOf({}, [-1, 1])[0] < -1);
  const [low, high] = rangeOf({}, [-3, -3]);
  t.true(low < -3 && high > -3);
  const [first, last] = rangeOf({ scale: 'log' }, [2, 2]);
  t.true(first > 0 && first < 2 && last > 2);
});

test('positions follow the scale', (t) => {
  t.is(positionOf('linear', [0, 10], 100, 0)(2.5), 75);
  t.is(Math.round(positionOf('log', [1, 100], 0, 100)(10)), 50);
  t.deepEqual(logTicks([0.3, 12]), [0.5, 1, 2, 5, 10]);
  t.deepEqual(logTicks([0.01, 1000]), [0.01, 0.1, 1, 10, 100, 1000]);
});

test('labels keep off one another, in their order and inside', (t) => {
  const labels = [90, 88, 10, 91].map((at) => ({ at, size: 10 }));
  const places = spread(labels, 100);
  t.deepEqual(places, [85, 75, 10, 95]);
  t.deepEqual(spread([{ at: 40, size: 10 }], 100), [40]);
});

test('words are wrapped, never cut', (t) => {
  t.deepEqual(wrap('offline IPO, 18 settings', 12), ['offline IPO,', '18 settings']);
  t.deepEqual(wrap('incomprehensibilities', 5), ['incomprehensibilities']);
});

test('numbers have three digits and no noise', (t) => {
  const shown = [0.1 + 0.2, 12.345, 1234.5, 2048, 1e-7 / 3, -0.5, 0, 12345678.9].map(formatNumber);
  t.deepEqual(shown, ['0.3', '12.3', '1235', '2048', '3.33e-8', '-0.5', '0', '12300000']);
});
