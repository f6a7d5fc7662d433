// --seeds of the studies: how many, or which.
import test from 'ava';
import { seedChoice, seedsText } from '../../src/cli/studies/seeds.js';
import { seedsOf } from '../../src/studies/recipes.js';
import { assertError, caught } from '../checkpoint/helpers.js';

test('a number says how many, a list or a range says which', (t) => {
  t.is(seedChoice('3'), 3);
  t.deepEqual(seedsOf(seedChoice('3')), [1, 2, 3]);
  t.deepEqual(seedChoice('11,12'), [11, 12]);
  t.deepEqual(seedChoice('31-33, 5'), [31, 32, 33, 5]);
  t.deepEqual(seedChoice('7-7'), [7]);
});

test('what is printed as the command is read as the same', (t) => {
  for (const text of ['3', '11,12', '31-35', '7-7']) {
    const choice = seedChoice(text);
    t.deepEqual(seedChoice(seedsText(choice)), choice, text);
  }
});

test('what is no seed is refused', async (t) => {
  for (const text of ['', 'a', '1.5', '-3', '5-3', '1,,2', '3-1000000']) {
    assertError(t, await caught(() => seedChoice(text)), 'OPTION_INVALID', '31-35');
  }
  for (const choice of [
    0,
    101,
    [],
    [1, 1],
    [1.5],
    [-1],
    Array.from({ length: 101 }, (_, i) => i),
  ]) {
    assertError(t, await caught(() => seedsOf(choice)), 'OPTION_INVALID', 'seeds');
  }
});
