// The text half of the coverage study at a size for tests: what does not depend on how far policies get.
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { coverage, recipes } from '../../src/studies/coverage/index.js';
import { readData } from '../../src/studies/coverage/text/data.js';
import { openLab, openMaterials } from '../../src/studies/coverage/lab.js';
import type { Behaviour, TextRecipe } from '../../src/studies/coverage/text/recipe.js';
import { Study, type StageEvent } from '../../src/studies/study.js';
import { createWorld } from '../../src/worlds/index.js';
import { assertError, caught, temporaryFolder } from '../checkpoint/helpers.js';

const behaviour = (change: Partial<Behaviour>): Behaviour => ({
  name: 'full',
  temperature: 1,
  topK: 0,
  without: [],
  ...change,
});

const full = behaviour({});
const narrow = behaviour({ name: 'narrow', temperature: 0.7, topK: 2 });

const text: TextRecipe = {
  ...recipes.ci.text!,
  sft: { ...recipes.ci.text!.sft, parameters: 9000, steps: 80, pairs: 300, unrelatedPairs: 60 },
  pairs: 48,
  validation: 16,
  behaviour: narrow,
  reward: { ...recipes.ci.text!.reward, parameters: 9000, steps: 8 },
  arm: { ...recipes.ci.text!.arm, steps: 6, batchSize: 8 },
  rlhf: { ...recipes.ci.text!.rlhf, steps: 6, batchSize: 4 },
  lambdas: [0.1],
  samples: [1, 2],
  coverage: [full, narrow],
  evaluation: { prompts: 12, steps: [2, 4, 6], pairs: 8, opponentQuality: 0.2 },
};

const recipe = {
  ...recipes.ci,
  scale: 'test',
  seeds: [1, 2],
  threeResponses: null,
  extrapolation: null,
  displacement: null,
  estimators: null,
  text,
};

test.serial(
  'all experiments run once; lambda 0 is DPO bit by bit; stories need files',
  async (t) => {
    const folder = join(await temporaryFolder(t), 'study');
    const events: StageEvent[] = [];
    const onEvent = (event: StageEvent): void => void events.push(event);
    let planned = 0;
    const onPlan = (stages: number): void => void (planned = stages);
    const found = await coverage({ recipe, folder, onEvent, onPlan, command: 'again' });
    const verdicts = Object.fromEntries(found.signatures.map(({ id, verdict }) => [id, verdict]));
    t.is(verdicts['S2.3b'], 'holds');
    t.is(verdicts['S2.2-files'], 'not tested');
    t.is(events.filter(({ kind }) => kind === 'finished').length, planned);
    for (const id of ['S2.1a', 'S2.1b', 'S2.1c', 'S2.2', 'S2.3a', 'S2.4', 'S2.8', 'B2.1', 'B2.5']) {
      t.not(verdicts[id], undefined, id);
    }
    // Weights of other lambdas differ: the check above can fail.
    const stages = await readdir(join(folder, 'stages'));
    const weights = async (name: string): Promise<string> => {
      const stage = stages.find((each) => each.startsWith(name))!;
      const path = join(folder, 'stages', stage, 'stage.json');
      const { result } = JSON.parse(await readFile(path, 'utf8')) as {
        result: { weights: string };
      };
      return result.weights;
    };
    t.is(
      await weights('hypo-lambda-0-k-1-exact-seed-1-data-narrow'),
      await weights('dpo-seed-1-data-narrow'),
    );
    t.not(
      await weights('hypo-lambda-0.1-k-1-exact-seed-1-data-narrow'),
      await weights('dpo-seed-1-data-narrow'),
    );

    events.length = 0;
    const again = await coverage({ recipe, folder, resume: true, onEvent, command: 'again' });
    t.true(events.every(({ kind }) => kind === 'reused'));
    t.deepEqual(again.signatures, found.signatures);
  },
);

test.serial('behaviour policies: divergence, entropy and support masks', async (t) => {
  await using study = await Study.open(join(await temporaryFolder(t), 'study'));
  const materials = await openMaterials(study, recipe);
  const lab = openLab(study, recipe, materials).text!;
  const wide = await lab.data({ behaviour: full });
  // The same numbers twice, but for rounding of float32 sums over a response.
  t.true(Math.abs(wide.result.divergence) < 1e-4);
  const less = await lab.data({ behaviour: narrow });
  t.true(less.result.divergence > 0.2);
  t.true(less.result.entropy < wide.result.entropy);
  const masked = behaviour({ name: 'masked', without: ['the'] });
  const data = await lab.data({ behaviour: masked });
  t.true(data.result.divergence > 0);
  const { pairs } = await readData(data);
  t.true(pairs.length > 0 && pairs.length < text.pairs);
  for (const { responses } of pairs) {
    for (const { tokens } of responses) {
      t.false(/\bthe\b/i.test(materials!.encoder.decode(tokens)));
    }
  }
  const nothing = behaviour({ name: 'one response', topK: 1 });
  assertError(t, await caught(() => lab.data({ behaviour: nothing })), 'OPTION_INVALID', 'topK');
});

test.serial('stories: a checkpoint and preferences of the user’s', async (t) => {
  const folder = await temporaryFolder(t);
  const base = join(folder, 'base');
  await coverage({ recipe: { ...recipe, seeds: [1] }, folder: base, only: ['on-off-kl'] });
  const stages = await readdir(join(base, 'stages'));
  const model = join(
    base,
    'stages',
    stages.find((name) => name.startsWith('sft-policy-of'))!,
    'model',
  );
  const world = createWorld('summarise', { difficulty: 1 });
  const [preferences, prompts] = [join(folder, 'pairs.jsonl'), join(folder, 'prompts.jsonl')];
  const lines = (rows: readonly object[]): string =>
    rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const rows = world
    .preferences(24, 3)
    .map(({ prompt, chosen, rejected }) => ({ prompt, chosen, rejected }));
  await writeFile(preferences, lines(rows));
  const held = world.prompts('test', 6, 4).map((prompt) => ({ prompt }));
  await writeFile(prompts, lines(held));
  const stories = {
    ...recipes.ci.stories!,
    files: { model, preferences, prompts },
    arm: { steps: 4, batchSize: 4, learningRate: 1e-3, beta: 0.05 },
    maxNewTokens: 12,
    evaluation: { prompts: 6, steps: [2, 4] },
  };
  const run = (files = stories.files) =>
    coverage({
      recipe: { ...recipe, text: null, stories: { ...stories, files } },
      folder: join(folder, 'stories'),
      only: ['stories'],
      resume: true,
    });
  const { findings } = await run();
  const data = findings.get('stories')!.data as { pairs: number; prompts: number; dpo: unknown[] };
  t.deepEqual([data.pairs, data.prompts, data.dpo.length], [24, 6, 2]);
  // All prompts are among the data.
  const same = { ...stories.files, prompts: preferences };
  assertError(t, await caught(() => run(same)), 'DATA_INVALID', 'prompt');
  const wrong = { ...stories.files, preferences: prompts };
  assertError(t, await caught(() => run(wrong)), 'DATA_INVALID', 'kind');
});
