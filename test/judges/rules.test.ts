// What each rule answers, and what it refuses.
import test from 'ava';
import { type RuleName, ruleJudge, rules } from '../../src/judges/rules.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { response, scoreRequest } from './helpers.js';

const cases: readonly (readonly [RuleName, object, string, number | null])[] = [
  ['length', {}, 'four', 4],
  ['length', { direction: 'shorter' }, 'four', -4],
  ['length', { unit: 'words', target: 3 }, 'a b c d e', -2],
  ['length', { unit: 'characters', target: 0 }, '😀é', -2],
  ['contains', { texts: ['Cat', 'dog'] }, 'a CAT sat', 0.5],
  ['contains', { texts: ['Cat', 'dog'], ignoreCase: false }, 'a CAT sat', 0],
  ['regex', { pattern: '^\\d+$' }, '42', 1],
  ['regex', { pattern: '^\\d+$' }, '42.', 0],
  ['regex', { pattern: 'a', count: true }, 'banana', 3],
  ['json', {}, '[1, 2]', 1],
  ['json', {}, '{"a": 1', 0],
  ['json', { keys: ['a'] }, '{"a": 1}', 1],
  ['json', { keys: ['a'] }, '["a"]', 0],
  ['json', { keys: ['toString'] }, '{}', 0],
  ['repetition', { n: 2 }, 'a b a b a', -0.5], // ab ba ab ba: two of four are new
  ['repetition', {}, 'a b', 0],
  ['sentiment', {}, 'A happy, HAPPY but sad cat.', 1],
  ['sentiment', { positive: ['up'], negative: ['down'], per: 'word' }, 'down the hill', -1 / 3],
  ['sentiment', { per: 'word' }, '', 0],
  ['answer', {}, ' 42 ', 1],
  ['answer', { pattern: '=\\s*(\\d+)' }, 'so x = 42, done', 1],
  ['answer', { pattern: '=\\s*(\\d+)' }, 'so x is 42', 0],
  ['answer', { column: 'absent' }, '42', null],
  ['finished', {}, 'anything', 1],
];

for (const [name, parameters, text, expected] of cases) {
  test(`${name} ${JSON.stringify(parameters)} of "${text}" is ${expected}`, async (t) => {
    const judge = ruleJudge(name, parameters as Record<string, unknown>);
    const request = scoreRequest(text, { columns: { answer: 42 } });
    t.deepEqual(await judge.score([request]), [expected]);
    t.is(judge.role, 'proxy');
  });
}

test('a response that was cut off is not finished', async (t) => {
  const request = scoreRequest('', { response: response('cut', true) });
  t.deepEqual(await ruleJudge('finished').score([request]), [0]);
});

test('parameters are part of the version, unknown ones are refused', async (t) => {
  const [a, b] = [5, 6].map((target) => ruleJudge('length', { target }));
  t.not(a!.version, b!.version);
  for (const name of Object.keys(rules) as RuleName[]) {
    const error = await caught(() => ruleJudge(name, { nonsense: 1 }));
    assertError(t, error, 'OPTION_INVALID', `Rule "${name}"`, 'nonsense');
  }
  assertError(t, await caught(() => ruleJudge('regex', { pattern: '(' })), 'OPTION_INVALID');
  assertError(t, await caught(() => ruleJudge('toString' as RuleName)), 'OPTION_INVALID', 'length');
});
