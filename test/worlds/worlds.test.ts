// What holds for every world: determinism, splits, tokens, labels, and what is refused.
import test from 'ava';
import { Encoder } from '../../src/text/encoding.js';
import {
  type Behaviour,
  type Split,
  createWorld,
  sharedTokenizer,
  worldNames,
} from '../../src/worlds/index.js';
import { preferenceProbability } from '../../src/worlds/rating.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { everyWorld, loadedTokenizer, mean, responses } from './helpers.js';

const splits: readonly Split[] = ['train', 'validation', 'test'];

for (const { title, world } of everyWorld) {
  test(`${title}: prompts, responses and labels are functions of the seed`, (t) => {
    const again = createWorld(world.name as (typeof worldNames)[number], {
      difficulty: world.describe().difficulty as 1 | 2 | 3,
    });
    const prompts = world.prompts('train', 20, 7);
    t.deepEqual(again.prompts('train', 20, 7), prompts);
    t.deepEqual(responses(again, prompts), responses(world, prompts));
    t.deepEqual(again.preferences(20, 5), world.preferences(20, 5));
    t.deepEqual(again.describe(), world.describe());
    t.notDeepEqual(world.prompts('train', 20, 8), prompts);
    t.notDeepEqual(responses(world, prompts, {}, 2), responses(world, prompts, {}, 1));
    t.notDeepEqual(world.preferences(20, 6), world.preferences(20, 5));
    // Asking for more leaves the first as they were.
    t.deepEqual(world.prompts('train', 30, 7).slice(0, 20), prompts);
  });

  test(`${title}: splits share no prompt, whatever the seeds`, (t) => {
    const sets = splits.map(
      (split) => new Set([1, 2].flatMap((seed) => world.prompts(split, 150, seed))),
    );
    const all = sets.flatMap((set) => [...set]);
    t.is(new Set(all).size, all.length);
    for (const [i, split] of splits.entries()) {
      const asked = world.preferences(30, 3, {}, { split }).map(({ prompt }) => prompt as string);
      t.is(new Set(asked).size, 30);
      for (const [j, set] of sets.entries()) {
        if (j !== i) t.false(asked.some((prompt) => set.has(prompt)));
      }
    }
  });

  test(`${title}: tokens cover all texts, spell them, and keep to the sizes`, async (t) => {
    const files = world.tokenizer();
    const tokenizer = await loadedTokenizer(t, files);
    const encoder = new Encoder(tokenizer);
    t.is(tokenizer.size, files.size);
    t.true(files.size <= 600);
    t.is(encoder.bos?.id, 0);
    t.is(encoder.eos?.id, 1);
    const prompts = splits.flatMap((split) => world.prompts(split, 30, 11));
    for (const quality of [0, 1]) {
      responses(world, prompts, { quality }).forEach((response, i) => {
        const prompt = prompts[i]!;
        const whole = tokenizer.encode(prompt + response);
        t.false([...whole].includes(2), `unknown words in ${prompt}${response}`);
        t.is(tokenizer.decode(whole), prompt + response);
        const record = {
          origin: 'x',
          kind: 'completion',
          prompt,
          completion: response,
        } as const;
        const example = encoder.encode(record).example!;
        const [{ tokens }] = example.responses as [{ tokens: Int32Array }];
        t.deepEqual([...example.prompt, ...tokens], [...whole, 1]);
        t.is(encoder.decode(tokens, example.prompt), response);
        t.true(example.prompt.length >= 10 && example.prompt.length <= 40);
        t.true(tokens.length >= 3 && tokens.length <= 40);
      });
    }
    t.is(encoder.counts.boundaryMerges, 0);
  });

  test(`${title}: the grammar reads all that it writes`, (t) => {
    const prompts = world.prompts('train', 100, 13);
    for (const quality of [0, 0.5, 1]) {
      const behaviour: Behaviour = { quality, support: { slip: ['none'] } };
      responses(world, prompts, behaviour).forEach((response, i) => {
        const { terms } = world.rate(prompts[i]!, response);
        t.is(Math.abs(terms.fluency!), 0, response);
      });
    }
  });

  test(`${title}: labels agree with the scores as often as their noise says`, (t) => {
    const count = 500;
    const clean = world.preferences(count, 21, {}, { noise: 0 });
    const gap = ({ prompt, chosen, rejected }: (typeof clean)[number]): number =>
      world.rate(prompt as string, chosen as string).golden -
      world.rate(prompt as string, rejected as string).golden;
    t.true(clean.every((record) => gap(record) >= 0));
    t.true(clean.every(({ chosen, rejected }) => chosen !== rejected));
    for (const noise of [0.4, 2]) {
      const noisy = world.preferences(count, 21, {}, { noise });
      const texts = ({ chosen, rejected }: (typeof clean)[number]) => [chosen, rejected].sort();
      t.deepEqual(noisy.map(texts), clean.map(texts), 'noise changes labels and nothing else');
      const decided = noisy.filter((record) => gap(record) !== 0);
      const rates = decided.map((record) => preferenceProbability(Math.abs(gap(record)), noise));
      const agreed = mean(decided.map((record) => Number(gap(record) > 0)));
      const error = Math.sqrt(rates.reduce((sum, p) => sum + p * (1 - p), 0)) / decided.length;
      // Four standard errors of a sum of independent labels.
      t.true(Math.abs(agreed - mean(rates)) < 4 * error, `${agreed} against ${mean(rates)}`);
    }
  });

  test(`${title}: any text can be rated`, (t) => {
    const [prompt = ''] = world.prompts('test', 1, 3);
    const words = [...world.words];
    const salad = Array.from({ length: 300 }, (_, i) => words[(i * 7919) % words.length]!);
    const texts = ['', ' ', '.', '. . .', '\n', 'ключ 🙂', salad.join(' '), prompt, ', , and ?'];
    const [good = ''] = responses(world, [prompt], { quality: 1, support: { slip: ['none'] } });
    const best = world.rate(prompt, good).golden;
    for (const text of texts) {
      const { golden, terms } = world.rate(prompt, text);
      t.true(Number.isFinite(golden));
      t.is(
        golden,
        Object.values(terms).reduce((sum, term) => sum + term, 0),
      );
      t.true(golden < best - 1, `${text} has ${golden}, ${good} has ${best}`);
    }
  });

  test(`${title}: weights scale the terms that describe() lists`, (t) => {
    const [prompt = ''] = world.prompts('test', 1, 3);
    const plain = world.rate(prompt, '');
    const { name } = world;
    const terms = Object.keys(world.describe().terms as object);
    t.deepEqual(Object.keys(plain.terms).sort(), [...terms].sort());
    const { difficulty } = world.describe() as { difficulty: 1 | 2 | 3 };
    const silent = createWorld(name as (typeof worldNames)[number], {
      difficulty,
      weights: { fluency: 0, length: 3 },
    });
    const { terms: weighted } = silent.rate(prompt, '');
    t.is(Math.abs(weighted.fluency!), 0);
    t.is(weighted.length, 3 * plain.terms.length!);
  });
}

test('pairs take given prompts in turn', (t) => {
  const world = createWorld('chat');
  const prompts = world.prompts('validation', 3, 1);
  const records = world.preferences(7, 1, {}, { prompts });
  t.deepEqual(
    records.map(({ prompt }) => prompt),
    [0, 1, 2, 0, 1, 2, 0].map((i) => prompts[i]),
  );
  t.is(new Set(records.map(({ chosen, rejected }) => JSON.stringify([chosen, rejected]))).size, 7);
});

test('one tokenizer covers several worlds', async (t) => {
  const worlds = worldNames.map((name) => createWorld(name, { difficulty: 3 }));
  const files = sharedTokenizer(worlds);
  const tokenizer = await loadedTokenizer(t, files);
  t.true(files.size <= 600);
  for (const world of worlds) {
    for (const { prompt, chosen } of world.preferences(40, 2)) {
      const text = `${prompt as string}${chosen as string}`;
      const ids = tokenizer.encode(text);
      t.false([...ids].includes(2));
      t.is(tokenizer.decode(ids), text);
    }
  }
});

test('what no world has is refused', async (t) => {
  const world = createWorld('help');
  const [prompt = ''] = world.prompts('train', 1, 1);
  const refused = async (action: () => unknown, ...parts: string[]): Promise<void> => {
    assertError(t, await caught(action), 'OPTION_INVALID', ...parts);
  };
  await refused(() => createWorld('toString' as 'help'), 'summarise, help, chat');
  await refused(() => createWorld('help', { difficulty: 4 as 3 }), 'difficulty');
  await refused(() => createWorld('help', { noise: -1 }), 'noise', '-1');
  await refused(() => createWorld('help', { level: 2 } as object), 'level');
  await refused(() => createWorld('help', { weights: { charm: 1 } }), 'charm', 'courtesy');
  await refused(() => world.prompts('train', 1.5, 1), '1.5');
  await refused(() => world.prompts('dev' as 'test', 1, 1), 'validation');
  await refused(() => world.prompts('test', 100_000, 1), '100000', 'difficulty');
  await refused(() => world.preferences(2, 1, {}, { prompts: [] }), 'no prompts');
  await refused(() => world.preferences(2, 1, {}, { noise: NaN }), 'noise');
  const behaviours: readonly [object, string][] = [
    [{ quality: 1.1 }, '1.1'],
    [{ quality: [0.5, 0.2] }, '[0.5,0.2]'],
    [{ temperature: 0 }, 'temperature'],
    [{ topK: 0 }, 'topK'],
    [{ skill: 1 }, 'skill'],
    [{ support: { tone: ['none'] } }, 'tone'],
    [{ support: { start: [] } }, 'start'],
    [{ support: { start: ['hello'] } }, 'hello'],
    [{ withoutWords: ['zebra'] }, 'zebra'],
  ];
  for (const [behaviour, part] of behaviours) {
    await refused(() => world.respond(prompt, behaviour, 1), part);
  }
  const support = { slip: ['none'] }; // only a missing word leaves a step without "it"
  await refused(() => world.respond(prompt, { withoutWords: ['it'], support }, 1), 'Exclude fewer');
  const other = createWorld('chat').prompts('train', 1, 1)[0]!;
  assertError(t, await caught(() => world.rate(other, 'x')), 'DATA_INVALID', 'help');
  assertError(t, await caught(() => world.respond('?', {}, 1)), 'DATA_INVALID', 'help');
});
