// The coverage study: its toys at a size for tests, its estimators, its report, and that a second run
// computes nothing.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { coverage, recipeOf, recipes, song2024 } from '../../src/studies/coverage/index.js';
import { factsOf } from '../../src/studies/coverage/experiments/three-responses.js';
import { GradientMoments } from '../../src/studies/coverage/toys/moments.js';
import { shareAtMost } from '../../src/studies/coverage/text/summary.js';
import { ofSeeds } from '../../src/studies/coverage/toys/curves.js';
import { hypo } from '../../src/objectives/hypo.js';
import type { StageEvent } from '../../src/studies/study.js';
import { assertError, caught, temporaryFolder } from '../checkpoint/helpers.js';

const small = {
  ...recipes.ci,
  scale: 'test',
  seeds: [1],
  threeResponses: {
    ...recipes.ci.threeResponses!,
    training: { ...recipes.ci.threeResponses!.training, steps: 400, learningRate: 0.4 },
  },
  extrapolation: {
    ...recipes.ci.extrapolation!,
    training: {
      ...recipes.ci.extrapolation!.training,
      steps: 120,
      batchSize: 8,
      learningRate: 0.2,
    },
  },
  displacement: null,
  text: null,
  stories: null,
  estimators: { ...recipes.ci.estimators!, draws: 300 },
};

test.serial('the toys: signatures, report, and stages that are made once', async (t) => {
  const folder = join(await temporaryFolder(t), 'study');
  const events: StageEvent[] = [];
  const onEvent = (event: StageEvent): void => void events.push(event);
  let planned = 0;
  const onPlan = (stages: number): void => void (planned = stages);
  const found = await coverage({ recipe: small, folder, onEvent, onPlan, command: 'again' });
  const verdicts = Object.fromEntries(found.signatures.map(({ id, verdict }) => [id, verdict]));
  // Exact ones; those of training at this size are below.
  for (const id of ['T1a', 'T1b', 'T1c', 'S2.7a', 'S2.7b', 'S2.5a', 'S2.5d']) {
    t.is(verdicts[id], 'holds', id);
  }
  t.deepEqual(found.failed, []);
  const finished = events.filter(({ kind }) => kind === 'finished');
  t.is(finished.length, planned);
  const page = await readFile(found.report, 'utf8');
  for (const text of ['three-responses-family', 'estimators-variance', 'T1b', 'again']) {
    t.true(page.includes(text), text);
  }
  const result = await readFile(join(folder, 'result.json'), 'utf8');
  const { paperSettings } = JSON.parse(result) as { paperSettings: Record<string, object> };
  // The preset has what was found of the paper; beta, lambda and k were not.
  t.like(paperSettings, { found: { objective: song2024 } });
  for (const name of ['beta', 'lambda', 'samplesOfPrompt', 'learningRate']) {
    t.true(Object.hasOwn(paperSettings.unverified!, name), name);
    t.false(Object.hasOwn(paperSettings.found!, name), name);
  }
  t.notThrows(() => hypo(song2024));
  events.length = 0;
  assertError(t, await caught(() => coverage({ recipe: small, folder })), 'RUN_INVALID', 'resume');
  const again = await coverage({ recipe: small, folder, resume: true, onEvent, command: 'again' });
  t.true(events.every(({ kind }) => kind === 'reused'));
  t.deepEqual(again.signatures, found.signatures);
  t.is(await readFile(join(folder, 'result.json'), 'utf8'), result);
});

test.serial('displacement alone: the rise of DPO, and less of it under HyPO', async (t) => {
  const folder = join(await temporaryFolder(t), 'study');
  const training = { ...recipes.ci.displacement!.training, steps: 80, batchSize: 16 };
  const toy = { ...recipes.ci.displacement!, training, lambdas: [0.03] };
  const recipe = { ...small, displacement: toy };
  const found = await coverage({ recipe, folder, only: ['displacement'] });
  t.deepEqual(
    found.signatures.map(({ id, verdict }) => [id, verdict]),
    [
      ['S2.6a', 'holds'],
      ['S2.6b', 'holds'],
    ],
  );
});

test('the closed forms of three responses', (t) => {
  const facts = factsOf(recipes.quick.threeResponses!);
  t.true(Math.abs(facts.gap - Math.log(7)) < 1e-12);
  t.true(Math.abs(facts.logOdds - 10 * Math.log(7)) < 1e-12);
  const p = 7 / 8;
  const lossAt = (gap: number): number =>
    p * Math.log1p(Math.exp(-gap)) + (1 - p) * Math.log1p(Math.exp(gap));
  t.true(Math.abs(lossAt(facts.gap) - facts.optimum) < 1e-12);
  for (const gap of [1.9, 2]) t.true(lossAt(gap) > facts.optimum);
});

test('moments of estimates: bias, error and variance relative to the gradient', (t) => {
  const moments = new GradientMoments(Float64Array.of(3, 4));
  for (const [x, y] of [
    [4, 4],
    [2, 4],
    [3, 6],
    [3, 2],
  ]) {
    moments.add(Float64Array.of(x!, y!));
  }
  const { bias, standardError, variance } = moments.quality;
  t.is(bias, 0);
  t.true(Math.abs(variance - 10 / 3 / 25) < 1e-12);
  t.true(Math.abs(standardError - Math.sqrt(10 / 3 / 4) / 5) < 1e-12);
});

test('recipes and experiments are chosen by name', async (t) => {
  const folder = join(await temporaryFolder(t), 'study');
  assertError(t, await caught(() => recipeOf('huge')), 'OPTION_INVALID', 'ci, quick, cpu, gpu');
  assertError(t, await caught(() => recipeOf('ci', { seeds: 0 })), 'OPTION_INVALID', 'seeds');
  t.deepEqual(recipeOf('ci', { seeds: 2 }).seeds, [1, 2]);
  const run = (only: string[]) => caught(() => coverage({ recipe: small, folder, only }));
  assertError(t, await run(['extrapolations']), 'OPTION_INVALID', 'Did you mean');
  assertError(t, await run(['displacement']), 'OPTION_INVALID', 'has no displacement');
});

test('what seeds say together has an interval over seeds', (t) => {
  const seeds = [
    { ours: [1, 2, 3, 9], theirs: [2, 3, 4, 5] },
    { ours: [1, 2, 3, 3], theirs: [2, 3, 4, 5] },
    { ours: [1, 2, 3, 9], theirs: [2, 3, 4, 5] },
  ];
  // Medians of the last step are 9 and 5, unless the second seed is drawn twice or more.
  t.deepEqual(shareAtMost(seeds), { value: 0.75, interval: [0.75, 1] });
  t.deepEqual(shareAtMost(seeds.slice(1)), { value: 0.75, interval: null });
  t.deepEqual(
    ofSeeds([1, 2, 3], (all) => Math.max(...all)),
    { value: 3, interval: [1, 3] },
  );
});
