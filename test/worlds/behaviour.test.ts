// The behaviour policy: better at higher quality, narrower at smaller coverage.
import test from 'ava';
import { type Behaviour, type World, createWorld } from '../../src/worlds/index.js';
import { everyWorld, mean, responses, standardError } from './helpers.js';

const qualities = [0, 0.25, 0.5, 0.75, 1];

const goldenOf = (world: World, prompts: readonly string[], behaviour: Behaviour): number[] =>
  responses(world, prompts, behaviour).map((text, i) => world.rate(prompts[i]!, text).golden);

for (const { title, world } of everyWorld) {
  test(`${title}: the rater likes better what higher quality writes`, (t) => {
    const prompts = world.prompts('train', 400, 31);
    const scores = qualities.map((quality) => goldenOf(world, prompts, { quality }));
    scores.slice(1).forEach((better, step) => {
      const gains = better.map((score, i) => score - scores[step]![i]!);
      // Two standard errors of the paired difference; the seeds are fixed, so it never flickers.
      const least = 2 * standardError(gains);
      t.true(mean(gains) > least, `${qualities[step]} to ${qualities[step + 1]}: ${mean(gains)}`);
    });
    t.true(mean(scores.at(-1)!) - mean(scores[0]!) > 1.5);
  });

  test(`${title}: each move alone is a possible support`, (t) => {
    const prompts = world.prompts('train', 10, 5);
    for (const [choice, moves] of Object.entries(world.choices)) {
      for (const move of moves) {
        const written = responses(world, prompts, { support: { [choice]: [move] } });
        t.true(written.every((text) => text.startsWith(' ') && text.length > 3));
      }
    }
  });

  test(`${title}: temperature and top-k narrow what is written`, (t) => {
    const [prompt = ''] = world.prompts('train', 1, 3);
    const distinct = (behaviour: Behaviour): number =>
      new Set(responses(world, Array<string>(300).fill(prompt), behaviour)).size;
    const all = distinct({});
    t.true(distinct({ temperature: 0.3 }) < 0.8 * all);
    t.true(distinct({ topK: 2 }) < all);
    t.true(distinct({ topK: 1 }) < 0.5 * all);
    t.true(distinct({ temperature: 0.01, quality: 0.5 }) < 0.5 * all);
  });

  test(`${title}: a support that allows all moves changes nothing`, (t) => {
    const prompts = world.prompts('train', 30, 3);
    t.deepEqual(responses(world, prompts, { support: world.choices }), responses(world, prompts));
  });
}

type Name = 'summarise' | 'help' | 'chat';

/** Support, and what then never happens although it does without. */
const masks: readonly [
  Name,
  Behaviour['support'],
  (world: World, p: string, r: string) => boolean,
][] = [
  ['summarise', { start: ['none'] }, (_, __, r) => /Sadly|Luckily|In short|Well/.test(r)],
  ['summarise', { wording: ['story'] }, (w, p, r) => w.rate(p, r).terms.wording! > 0],
  [
    'summarise',
    { next: ['salient', 'stop'], truth: ['right'], slip: ['none'] },
    (w, p, r) => w.rate(p, r).terms.focus! < 0 || w.rate(p, r).terms.faithfulness! < 0,
  ],
  ['summarise', { joiner: ['sentence'] }, (_, __, r) => / and | but | then /.test(r)],
  ['help', { tool: ['useful', 'useless'] }, (w, p, r) => w.rate(p, r).terms.harm! < 0],
  ['help', { end: ['none'] }, (_, __, r) => r.includes('luck')],
  [
    'help',
    { extra: ['none', 'courage'] },
    (_, __, r) => /away|friend|first|buy|not sure/i.test(r.replace(/first,/i, '')),
  ],
  ['chat', { voice: ['own'] }, (w, p, r) => w.rate(p, r).terms.otherVoices! < 0],
  ['chat', { question: ['none'] }, (_, __, r) => r.includes('?')],
  ['chat', { next: ['feeling', 'stop'] }, (_, __, r) => / are | once | close /.test(r)],
];

for (const [name, support, happens] of masks) {
  test(`${name}: the support ${JSON.stringify(support)} really excludes`, (t) => {
    const world = createWorld(name);
    const prompts = world.prompts('train', 300, 41);
    const rate = (behaviour: Behaviour): number =>
      mean(
        responses(world, prompts, behaviour).map((r, i) => Number(happens(world, prompts[i]!, r))),
      );
    t.true(rate({ quality: 0.2 }) > 0.05);
    t.is(rate({ quality: 0.2, support: support! }), 0);
  });
}

test('excluded words never occur, and the rest is written as before', (t) => {
  const world = createWorld('help');
  const prompts = world.prompts('train', 300, 43);
  const withoutWords = ['salt', 'Sure'];
  const free = responses(world, prompts);
  const masked = responses(world, prompts, { withoutWords });
  const has = (text: string): boolean => /\b(salt|sure)\b/i.test(text);
  t.true(free.some(has));
  t.false(masked.some(has));
  free.forEach((text, i) => {
    if (!has(text)) t.is(masked[i], text);
  });
});

test('a range of qualities lies between its ends, and is wider than its middle', (t) => {
  const world = createWorld('summarise');
  const prompts = world.prompts('train', 800, 47);
  const [low, range, high] = ([0, [0, 1], 1] as const).map((quality) =>
    mean(goldenOf(world, prompts, { quality })),
  );
  t.true(low! < range! && range! < high!);
  const spread = (quality: Behaviour['quality']): number =>
    standardError(goldenOf(world, prompts, { quality: quality! }));
  t.true(spread([0, 1]) > spread(0.5));
});

test('a behaviour that always writes the same has no pairs', (t) => {
  const world = createWorld('chat');
  const [prompt = ''] = world.prompts('train', 1, 1);
  const support = Object.fromEntries(
    Object.entries(world.choices).map(([choice, moves]) => [choice, [moves[0]!]]),
  );
  const behaviour = { support: { ...support, call: ['none'], next: ['evasion'] } };
  t.throws(() => world.preferences(1, 1, behaviour, { prompts: [prompt] }), {
    code: 'OPTION_INVALID',
    message: /one and the same/,
  });
});
