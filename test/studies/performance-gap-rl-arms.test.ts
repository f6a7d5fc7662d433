// The arms of policy-gradient losses: what they sample and are rewarded by, and a few steps of each.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { PairJudge } from '../../src/judges/judge.js';
import { datasetPairs } from '../../src/sources/dataset.js';
import { trainingPrompts } from '../../src/studies/performance-gap/golden-policy.js';
import { openLab } from '../../src/studies/performance-gap/lab.js';
import {
  loadModel,
  openMaterials,
  promptsOf,
  weightsPath,
} from '../../src/studies/performance-gap/materials.js';
import { readGoldenPairs } from '../../src/studies/performance-gap/protocol.js';
import { type RlArm, rlParts } from '../../src/studies/performance-gap/rl-arms.js';
import type { Recipe } from '../../src/studies/performance-gap/index.js';
import { Study } from '../../src/studies/study.js';
import { smallest } from './recipe.js';

const temporary = await mkdtemp(join(tmpdir(), 'alignlab-losses-'));
const study = await Study.open(join(temporary, 'study'));
test.after.always(async () => {
  await study[Symbol.asyncDispose]();
  await rm(temporary, { recursive: true, force: true });
});

const likesLonger: PairJudge<'proxy'> = {
  kind: 'pair',
  role: 'proxy',
  name: 'longer',
  version: '1',
  compare: (requests) =>
    Promise.resolve(
      requests.map(({ first, second }) => ({
        preference: (1 + Math.sign(first.text.length - second.text.length)) / 2,
      })),
    ),
};

const recipe: Recipe = { ...smallest, proxySizes: [], losses: ['dpo', 'slic', 'rloo', 'ppo'] };
const opened = openMaterials(study, recipe).then((materials) => openLab(study, materials));

/** The parts of an arm, with a judge that says whether it was asked. */
const partsOf = async (t: { teardown(close: () => Promise<void>): void }, arm: RlArm) => {
  const lab = await opened;
  const { materials } = lab;
  const start = await lab.sft();
  const pairs = await readGoldenPairs(lab.dataset, materials);
  const policy = await loadModel(start, materials, true);
  let asked = 0;
  const proxy: PairJudge<'proxy'> = {
    ...likesLonger,
    compare: (requests, options) => {
      asked += requests.length;
      return likesLonger.compare(requests, options);
    },
  };
  const offline = () =>
    datasetPairs({ examples: pairs.examples, order: 'shuffled', seed: 3, lastBatch: 'across' });
  const texts = promptsOf(trainingPrompts(pairs), materials.encoder);
  const parts = await rlParts(arm, { policy, start, prompts: texts, materials, proxy, offline });
  t.teardown(async () => {
    await parts.close();
    await policy.dispose();
  });
  return { ...parts, offline, asked: () => asked };
};

const rlooArm: RlArm = {
  source: { kind: 'online' },
  objective: { name: 'rloo', beta: 0.1 },
  seed: 1,
};
const hypoArm = (base: 'ipo' | 'dpo', lambda: number): RlArm => ({
  source: { kind: 'offline' },
  objective: { name: 'hypo', beta: 0.1, lambda, base },
  seed: 1,
});

test('RLOO and PPO are rewarded by the win rate over the other sample', async (t) => {
  const { encoder } = (await opened).materials;
  for (const name of ['rloo', 'ppo'] as const) {
    const arm: RlArm = { ...rlooArm, objective: { name, beta: 0.2 } };
    const { source, objective, options, asked } = await partsOf(t, arm);
    const groups = await source.take(6, { step: 0 });
    t.is(groups.length, 6);
    t.is(asked(), 6);
    for (const { kind, prompt, responses } of groups) {
      t.is(kind, 'group');
      const [first, second] = responses.map(({ tokens }) => encoder.decode(tokens, prompt)) as [
        string,
        string,
      ];
      const preferred = (1 + Math.sign(first.length - second.length)) / 2;
      t.deepEqual(
        responses.map(({ reward }) => reward),
        [preferred, 1 - preferred],
      );
    }
    t.is(objective.name, name);
    t.is(name === 'rloo' ? objective.options.beta : objective.options.klCoef, 0.2);
    t.is(options.critic !== undefined, name === 'ppo');
    if (options.critic) t.is(options.critic.model.shape.scalarOutputs, 1);
  }
});

test('HyPO has the pairs of the offline arm, samples without labels, and asks no judge', async (t) => {
  const { source, objective, offline, asked } = await partsOf(t, hypoArm('ipo', 0.05));
  const taken = await source.take(5, { step: 0 });
  const pairs = taken.filter(({ kind }) => kind === 'pair');
  t.deepEqual(pairs, await offline().take(5, { step: 0 }));
  const groups = taken.filter(({ kind }) => kind === 'group');
  t.is(groups.length, 5);
  for (const { responses } of groups) t.true(responses.every((each) => !('reward' in each)));
  t.is(asked(), 0);
  // lambda weighs the KL against (beta D - 1/2)^2, and ipo is that over beta^2.
  t.true(Math.abs(Number(objective.options.lambda) - 5) < 1e-9);
  const onDpo = await partsOf(t, hypoArm('dpo', 0.05));
  t.is(onDpo.objective.options.lambda, 0.05);
});

test('sources that do not fit are refused', async (t) => {
  const refused = { code: 'INTERNAL' };
  await t.throwsAsync(partsOf(t, { ...rlooArm, source: { kind: 'offline' } }), refused);
  const online: RlArm = { ...hypoArm('ipo', 0.1), source: { kind: 'online' } };
  await t.throwsAsync(partsOf(t, online), refused);
});

test('the arms train; HyPO without its KL is the offline arm bit for bit', async (t) => {
  const lab = await opened;
  const baseline = lab.baseline(1);
  const { beta } = recipe.arm;
  const bytes = (run: Awaited<ReturnType<typeof lab.arm>>) => readFile(weightsPath(run));
  const offline = await lab.arm({ ...baseline, source: { kind: 'offline' } });
  const hypo = (lambda: number) =>
    lab.arm({
      ...baseline,
      source: { kind: 'offline' },
      objective: { name: 'hypo', beta, lambda, base: 'ipo' },
    });
  t.deepEqual(await bytes(await hypo(0)), await bytes(offline));
  const weighed = await hypo(0.1);
  t.notDeepEqual(await bytes(weighed), await bytes(offline));
  for (const name of ['rloo', 'ppo'] as const) {
    const objective = { name, beta };
    const run = await lab.arm({ ...baseline, source: { kind: 'online' }, objective });
    t.is(run.result.losses.length, recipe.arm.steps);
    t.true(run.result.points.every(({ kl, score }) => kl > 0 && Number.isFinite(score)));
  }
  const { manifest } = weighed.result;
  t.true(JSON.stringify(manifest.source).includes('"judge":null'));
});
