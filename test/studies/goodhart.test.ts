// S1.6 on runs whose fall is known.
import test from 'ava';
import type { ArmRun } from '../../src/studies/performance-gap/arms.js';
import {
  offlineGoodhart,
  onlineGoodhart,
} from '../../src/studies/performance-gap/experiments/goodhart.js';
import type { Point } from '../../src/studies/performance-gap/measure.js';

const prompts = 400;

/** Wins on the first prompts: as many even as odd ones, so that both halves see the same rate. */
const outcomesOf = (rate: number): string => 'W'.repeat(rate * prompts).padEnd(prompts, 'L');

/** A run of these win rates by the golden model and by the proxy. */
const runOf = (name: string, golden: readonly number[], proxy: readonly number[] = golden) => {
  const points = golden.map((rate, i) => ({
    step: 10 * i,
    outcomes: outcomesOf(rate),
    proxyWinRate: proxy[i]!,
  }));
  return { name, result: { points: points as unknown as readonly Point[] } } as ArmRun;
};

test('S1.6a: one run that falls is enough, and it is named', (t) => {
  const rising = runOf('rising', [0.1, 0.2, 0.3]);
  const falling = runOf('falling', [0.1, 0.4, 0.2]);
  const { verdict, value, note } = offlineGoodhart('S1.6a', [rising, falling]);
  t.is(verdict, 'holds');
  t.true(Math.abs(value! - 0.2) < 1e-12);
  t.is(note, 'falling');
  const none = offlineGoodhart('S1.6a', [rising]);
  t.is(none.verdict, 'does not hold');
  t.is(none.value, 0);
  // Of 400 prompts 12 are lost: 0.03, and an interval around it.
  t.is(offlineGoodhart('S1.6c', [runOf('slightly', [0.4, 0.37])]).verdict, 'undetermined');
});

test('S1.6a: the fall is not the noise that it was chosen by', (t) => {
  // Each checkpoint wins where the other does not: both have 0.5, and the best on one half of the
  // prompts is the worst on the other.
  const even = 'WL'.repeat(prompts / 2);
  const odd = 'LW'.repeat(prompts / 2);
  const points = [even, odd].map((outcomes, step) => ({ step, outcomes, proxyWinRate: 0.5 }));
  const noisy = { name: 'noisy', result: { points: points as unknown as readonly Point[] } };
  // On its own half the first one is better by 1; on the other, where it is rated, worse by 1, and
  // the last checkpoint less itself is 0.
  t.is(offlineGoodhart('S1.6a', [noisy as ArmRun]).value, -0.5);
});

test('S1.6b: a fall that the proxy sees as well is none of its kind', (t) => {
  const fooled = runOf('fooled', [0.1, 0.4, 0.2], [0.5, 0.8, 0.9]);
  const collapsed = runOf('collapsed', [0.1, 0.6, 0.1], [0.5, 0.8, 0.2]);
  const found = onlineGoodhart([collapsed, fooled]);
  t.is(found.verdict, 'holds');
  t.true(Math.abs(found.value! - 0.2) < 1e-12);
  t.true(found.note.startsWith('fooled'));
  t.is(onlineGoodhart([collapsed]).verdict, 'does not hold');
});
