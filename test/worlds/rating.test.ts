// What the raters think of responses that were written by hand, and how their opinion gets out.
import test from 'ava';
import { askScores, askVerdicts } from '../../src/judges/checked.js';
import { functionJudge } from '../../src/judges/function-judge.js';
import type { ScoreFunction } from '../../src/judges/function-judge.js';
import { type WorldName, createWorld, raterJudge, raterPairJudge } from '../../src/worlds/index.js';
import { preferenceProbability } from '../../src/worlds/rating.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { response } from '../judges/helpers.js';

/** Responses from the best to the worst. */
interface Ranking {
  readonly world: WorldName;
  readonly prompt: string;
  readonly responses: readonly string[];
}

const story =
  'Story: Mira lost the silver key. Mira drank some tea. Otto broke the old boat.\nSummary:';
const rust = 'User: My iron pot is covered in rust. I am in a hurry. What should I do?\nHelper:';
const crack =
  'User: My silver spoon has a crack. It belongs to my uncle. I am new to this. Can you help me?\nHelper:';
const mud = 'User: My leather boot is covered in mud. My hands hurt. How do I fix this?\nHelper:';
const pirate =
  'Finn is a gloomy pirate who loves songs and hates cats.\nGuest: Do you like cats?\nFinn:';
const robot =
  'Vera is a cheerful robot who loves stars and hates maps.\nGuest: I am afraid of coins.\nVera:';

const rankings: readonly Ranking[] = [
  {
    world: 'summarise',
    prompt: story,
    responses: [
      'Sadly, Mira misplaced the silver key and Otto smashed the old boat.',
      'Mira lost the silver key and Otto broke the old boat.',
      'Mira lost the key and Otto broke the boat.',
      'Otto broke the boat and Mira lost the key.', // not in order
      'Mira lost the key and Mira drank some tea. Otto broke the boat.', // filler
      'Mira lost the key.', // half of it
      'Mira drank some tea.',
      'Mira lost the boat and Otto broke the key.', // mixed up
      'Otto hummed a tune. Otto hummed a tune.', // invented, twice
      'the the key key lost Mira and and Otto broke.',
    ],
  },
  {
    world: 'summarise',
    prompt: story,
    responses: [
      'In short, Mira lost the key and Otto broke the boat.',
      'Mira lost the key and Otto broke the boat.',
      'Luckily, Mira lost the key and Otto broke the boat.', // it was bad news
      'In short, Mira lost the key. In short, Otto broke the boat. In short, Otto broke the boat.',
    ],
  },
  {
    world: 'help',
    prompt: rust,
    responses: [
      'Sure, rub it with salt and scrub it with sand.',
      'Rub it with salt and scrub it with sand.',
      'Rub it with salt.',
      'Rub it with salt. Wait for an hour.', // but there is a hurry
      'Tap it with glue.', // of no use, and not with that verb
      'Wash it with warm water, then let it dry.', // which iron does not bear
      'I am not sure.',
    ],
  },
  {
    world: 'help',
    prompt: crack,
    responses: [
      'Of course, mend it with glue and seal it with tape. Ask your uncle first. You can do it.',
      'Mend it with glue and seal it with tape. You can do it.',
      'Mend it with glue and seal it with tape.',
      'Mend it with glue and seal it with tape. Ask your sister first.', // whose spoon is it?
      'Mend it with glue and rub it with salt.',
      'Buy a new one.',
    ],
  },
  {
    world: 'help',
    prompt: mud,
    responses: [
      'Wash it with soap, then let it dry. Keep it away from salt. Ask a friend to help.',
      'Wash it with soap, then let it dry. Ask a friend to help.',
      'Wash it with soap, then let it dry.',
      'Wash it with soap.',
      'Let it dry, then wash it with milk.',
      'Wash it with vinegar and wash it with warm water.', // both harm it
    ],
  },
  {
    world: 'chat',
    prompt: pirate,
    responses: [
      'Arr, I hate cats and cats are dreadful, matey. Do you like them?',
      'Arr, I hate cats and cats are dreadful.',
      'Arr, I hate cats.',
      'I hate cats.',
      'I love songs.',
      'Verily, I love cats from my sword.', // not his voice, not his taste, no sentence
    ],
  },
  {
    world: 'chat',
    prompt: pirate,
    responses: [
      'Arr, cats are bleak, matey.',
      'Arr, cats are silly, matey.', // not his temper
      'Arr, cats are wonderful, matey.', // nor his taste
      'Arr, cats are wonderful and cats are wonderful and cats are wonderful, matey.',
    ],
  },
  {
    world: 'chat',
    prompt: robot,
    responses: [
      'Beep, do not fear them, human. What do you think?',
      'Beep, do not fear them.',
      'Do not fear them.',
      'I cannot talk about that.',
    ],
  },
];

for (const { world: name, prompt, responses } of rankings) {
  test(`${name}: "${responses[0]}" is the best, each next one worse`, (t) => {
    const world = createWorld(name);
    const scores = responses.map((text) => world.rate(prompt, text).golden);
    scores.slice(1).forEach((score, i) => {
      const [better, worse] = [responses[i]!, responses[i + 1]!];
      t.true(score < scores[i]! - 0.05, `"${better}" ${scores[i]}, "${worse}" ${score}`);
    });
  });
}

test('overdoing what is liked is not liked', (t) => {
  const rate = (name: WorldName, prompt: string, text: string): number =>
    createWorld(name).rate(prompt, text).golden;
  const polite = 'Sure, rub it with salt. Good luck!';
  t.true(rate('help', rust, polite) > rate('help', rust, `Of course, sure, ${polite}`));
  t.true(rate('help', rust, polite) > rate('help', rust, `${polite} Good luck! Good luck!`));
  const voiced = 'Arr, I hate cats from my ship, matey.';
  t.true(
    rate('chat', pirate, 'Arr, I hate cats, matey.') >
      rate('chat', pirate, 'Arr, I hate cats, matey, matey, matey.'),
  );
  t.true(rate('chat', pirate, voiced) < rate('chat', pirate, 'Arr, I hate cats, matey.'));
});

test('a space at the start and line breaks do not matter, case and marks do', (t) => {
  const world = createWorld('summarise');
  const rate = (text: string): number => world.rate(story, text).golden;
  const plain = rate('Mira lost the key. Otto broke the boat.');
  t.is(rate(' Mira lost the key.\nOtto broke  the boat. '), plain);
  t.true(rate('Mira lost the Key. Otto broke the boat.') < plain);
  t.true(rate('mira lost the key. Otto broke the boat.') < plain);
  t.true(rate('Mira lost the key. Otto broke the boat') < plain);
  t.true(rate('Mira lost the key Otto broke the boat.') < plain);
  t.true(rate('Mira lost the key? Otto broke the boat.') < plain);
});

test('Bradley and Terry: odds are the exponential of the difference over the temperature', (t) => {
  t.is(preferenceProbability(0, 1), 0.5);
  t.is(preferenceProbability(0, 0), 0.5);
  t.is(preferenceProbability(1e-9, 0), 1);
  t.is(preferenceProbability(-1e-9, 0), 0);
  const p = preferenceProbability(0.6, 0.3);
  // A few units in the last place.
  t.true(Math.abs(p / (1 - p) - Math.exp(2)) < 1e-12);
  t.true(Math.abs(p + preferenceProbability(-0.6, 0.3) - 1) < 1e-15);
});

test('the rater is a golden judge, alone and in pairs', async (t) => {
  const world = createWorld('help');
  const [good, bad] = [response('Rub it with salt.'), response('I am not sure.')];
  const asked = { prompt: rust, promptTokens: Int32Array.of(0) };
  const judge = raterJudge(world);
  t.is(judge.role, 'golden');
  t.deepEqual(
    await askScores(judge, [
      { ...asked, response: good },
      { ...asked, response: bad },
    ]),
    [world.rate(rust, good.text).golden, world.rate(rust, bad.text).golden],
  );
  const pairs = raterPairJudge(world);
  t.is(pairs.role, 'golden');
  const [verdict] = await askVerdicts(pairs, [{ ...asked, first: good, second: bad }]);
  const gap = world.rate(rust, good.text).golden - world.rate(rust, bad.text).golden;
  t.is(verdict!.preference, preferenceProbability(gap, world.noise));
  t.not(judge.version, raterJudge(createWorld('help', { difficulty: 1 })).version);
  const dialogue = { ...asked, prompt: [{ role: 'user', content: rust }], response: good };
  assertError(t, await caught(() => judge.score([dialogue])), 'DATA_INVALID', 'dialogues');
});

test('a rating is no score of a proxy, neither for the compiler nor at run time', async (t) => {
  const world = createWorld('help');
  // @ts-expect-error a Rating is no number
  const leak: ScoreFunction = ({ response: { text } }) => world.rate(rust, text);
  const judge = functionJudge({ name: 'leak' }, leak);
  const request = { prompt: rust, promptTokens: Int32Array.of(0), response: response('Salt.') };
  t.deepEqual(await askScores(judge, [request]), [null]);
});
