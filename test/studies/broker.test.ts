// Who is given which stage.
import test from 'ava';
import { Broker } from '../../src/studies/broker.js';

const broker = (threads: number) => {
  const told: string[] = [];
  const made = new Broker(threads, (thread, { kind, key }) =>
    told.push(`${thread} ${kind} ${key}`),
  );
  return { broker: made, told: () => told.splice(0) };
};

test('a stage is run once, and the thread that wanted it too is told', (t) => {
  const { broker: own, told } = broker(2);
  own.want(0, 'a');
  own.want(1, 'a');
  t.deepEqual(told(), ['0 run a']);
  own.ended('a', true);
  t.deepEqual(told(), ['1 finished a']);
});

test('a thread has one stage at a time, and another thread does not wait for it', (t) => {
  const { broker: own, told } = broker(2);
  own.want(0, 'a');
  own.want(0, 'b');
  own.want(1, 'a');
  own.want(1, 'b');
  t.deepEqual(told(), ['0 run a', '1 run b']);
  own.ended('b', true);
  t.deepEqual(told(), ['0 finished b']);
});

test('of what could run the heaviest does first, of equal ones the first', (t) => {
  const { broker: own, told } = broker(2);
  own.want(0, 'first');
  for (const thread of [0, 1]) {
    own.want(thread, 'light');
    own.want(thread, 'heavy', 3);
    own.want(thread, 'as heavy', 3);
  }
  t.deepEqual(told(), ['0 run first', '1 run light']);
  own.ended('first', true);
  t.deepEqual(told(), ['0 run heavy']);
  own.ended('light', true);
  t.deepEqual(told(), ['0 finished light', '1 run as heavy']);
});

test('what was finished while a thread looked for it is not run again', (t) => {
  const { broker: own, told } = broker(2);
  own.want(0, 'a');
  own.ended('a', true);
  own.want(1, 'a');
  t.deepEqual(told(), ['0 run a', '1 finished a']);
});

test('what failed may be run by another thread', (t) => {
  const { broker: own, told } = broker(2);
  own.want(0, 'a');
  own.want(1, 'a');
  own.ended('a', false);
  t.deepEqual(told(), ['0 run a', '1 run a']);
});
