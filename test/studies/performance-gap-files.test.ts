// The performance-gap study on a checkpoint and pairs of the user's own: a tiny llama and 40 pairs.
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { openTexts, readPairs } from '../../src/studies/performance-gap/files.js';
import {
  type Recipe,
  performanceGap,
  recipeOf,
  recipeOfFiles,
} from '../../src/studies/performance-gap/index.js';
import { openMaterials } from '../../src/studies/performance-gap/materials.js';
import { StagePlan } from '../../src/studies/study.js';
import { spoken } from '../../src/text/dialogue.js';
import { modelConfigOf, writeTokenizer } from '../../src/worlds/index.js';
import { wordTokenizer } from '../../src/worlds/tokenizer.js';
import { start } from '../cli/cli.js';

const temporary = await mkdtemp(join(tmpdir(), 'alignlab-gap-files-'));

const colours = ['red', 'blue', 'green', 'black', 'white', 'brown', 'pink', 'grey'];
const nouns = ['door', 'boat', 'house', 'wheel', 'coat'];
const starts = ['What', 'Write'];
const tokenizer = wordTokenizer({ words: [...colours, ...nouns, 'of', 'the'], lineStarts: starts });

const model = join(temporary, 'tiny-llama');
const { config } = modelConfigOf({ vocabulary: tokenizer.size, parameters: 9000, positions: 64 });
const tiny = await LanguageModel.create(config, { seed: 5 });
await tiny.save(model);
await tiny.dispose();
await writeTokenizer(model, tokenizer);

const rows = Array.from({ length: 40 }, (_, i) => {
  const [colour, noun] = [colours[i % 8]!, nouns[i % 5]!];
  return {
    prompt: `What of the ${noun}?`,
    chosen: ` ${colour} the ${noun}.`,
    rejected: ` ${colour} ${colours[(i + 3) % 8]}.`,
  };
});

const write = async (name: string, list: readonly object[]): Promise<string> => {
  const path = join(temporary, name);
  await writeFile(path, list.map((row) => JSON.stringify(row)).join('\n'));
  return path;
};
const preferences = await write('pairs.jsonl', rows);

// From here on nothing is awaited: tests are declared in one go.
test.after.always(() => rm(temporary, { recursive: true, force: true }));
const files = { model, preferences };

const planned = recipeOfFiles('ci', files, { steps: 4, batchSize: 4, maxNewTokens: 6 });

const smallest = async (): Promise<Recipe> => {
  const { recipe } = await planned;
  return {
    ...recipe,
    golden: { ...recipe.golden, steps: 3, batchSize: 4 },
    sft: { ...recipe.sft, steps: 3, batchSize: 4 },
    proxy: { ...recipe.proxy, steps: 3, batchSize: 4 },
    bestOf2: true,
    endVersusEnd: { learningRates: [1e-5] },
    evaluation: { prompts: 5, steps: [2, 4], pairs: 8, streamPlaces: 2, streamPairs: 4 },
  };
};

test('the smallest recipe of files runs through, and says what it ran on', async (t) => {
  const recipe = await smallest();
  const folder = join(temporary, 'study');
  const outcome = await performanceGap({ recipe, folder });
  t.deepEqual(outcome.failed, []);
  const verdicts = new Map(outcome.signatures.map(({ id, verdict }) => [id, verdict]));
  t.is(verdicts.get('S1.3'), 'holds');
  t.is(verdicts.get('S1.13'), 'not tested');
  t.true(outcome.lab.arms().every(({ result }) => result.points.every(({ kl }) => kl >= 0)));
  const text = await readFile(join(folder, 'result.json'), 'utf8');
  const result = JSON.parse(text) as {
    recipe: Record<string, unknown>;
    golden: { raterAgreement: unknown; parameters: number };
    deviations: string[];
  };
  t.is(result.golden.raterAgreement, null);
  t.is(result.golden.parameters, recipe.golden.parameters);
  t.false(text.includes(temporary), 'a result says names and hashes, no paths');
  t.false('noise' in result.recipe, 'nothing of a world');
  t.true(result.deviations.some((each) => each.includes('first 1 of 2 blocks')));
  const html = await readFile(outcome.report, 'utf8');
  for (const said of ['tiny-llama', 'no noise-free truth', 'pairs.jsonl']) {
    t.true(html.includes(said), said);
  }
  t.false(/A rater labels|world null/.test(html));
  const again = await performanceGap({ recipe, folder, resume: true });
  t.is(again.computed, 0);
});

test('sizes are those of the checkpoint, numbers of pairs those of the file', async (t) => {
  const { recipe, notes } = await planned;
  t.is(recipe.world, null);
  t.true(recipe.proxy.parameters < recipe.golden.parameters);
  t.is(recipe.sft.parameters, recipe.golden.parameters);
  t.deepEqual([recipe.pairs, recipe.validation, recipe.dataset], [35, 5, 35]);
  t.deepEqual(recipe.policySizes, []);
  t.is(recipe.engine?.dtype, 'f32');
  t.regex(notes.join('\n'), /40 of 40 pairs were looked at and 40 fit/);
  t.regex(notes.join('\n'), /asks for 400 pairs .* 35 and 5 are taken/);
});

const keyOf = async (recipe: Recipe): Promise<string> =>
  (await openMaterials(new StagePlan(), recipe)).artefact.key;

test("the stages' key is one of contents: moved files are the same, changed ones are not", async (t) => {
  const { recipe } = await planned;
  const key = await keyOf(recipe);
  const moved = join(temporary, 'elsewhere');
  await mkdir(moved);
  await cp(model, join(moved, 'model'), { recursive: true });
  await cp(preferences, join(moved, 'data.jsonl'));
  const there = { model: join(moved, 'model'), preferences: join(moved, 'data.jsonl') };
  t.is(await keyOf({ ...recipe, files: there }), key);
  const [first, ...others] = rows;
  const turned = { ...first!, chosen: first!.rejected, rejected: first!.chosen };
  const changed = await write('turned.jsonl', [turned, ...others]);
  t.not(await keyOf({ ...recipe, files: { model, preferences: changed } }), key);
  const other = join(temporary, 'other-weights');
  await using weights = await LanguageModel.create(config, { seed: 6 });
  await weights.save(other);
  await writeTokenizer(other, tokenizer);
  t.not(await keyOf({ ...recipe, files: { model: other, preferences } }), key);
  t.not(await keyOf({ ...recipe, maxNewTokens: 7 }), key);
});

test('rows that do not fit, or say nothing, are left out and counted', async (t) => {
  const long = { ...rows[0]!, chosen: ' red'.repeat(7) };
  const wordy = { ...rows[1]!, prompt: `What${' of'.repeat(60)}?` };
  const equal = { ...rows[2]!, rejected: rows[2]!.chosen };
  const path = await write('mixed.jsonl', [...rows, long, wordy, equal, rows[4]!]);
  const open = await openTexts({ model, preferences: path }, 6);
  const { pairs, counts } = await readPairs(open, 100);
  t.is(pairs.length, 40);
  t.deepEqual(counts, {
    pairs: 44,
    seen: 44,
    kept: 40,
    dropped: { completion_too_long: 1, prompt_too_long: 1, equal_responses: 1, repeated: 1 },
  });
  // The vocabulary has no word of the usual separators.
  t.is((open.comparisons.describe().separators as { end: string }).end, '!:');
});

test("dialogues go through the checkpoint's template, and need one", async (t) => {
  const user = (content: string) => [{ role: 'user', content }];
  const said = (content: string) => [{ role: 'assistant', content }];
  const dialogues = rows.map(({ prompt, chosen, rejected }) => ({
    prompt: user(prompt),
    chosen: said(chosen),
    rejected: said(rejected),
  }));
  const path = await write('dialogues.jsonl', dialogues);
  await t.throwsAsync(openTexts({ model, preferences: path }, 6), {
    code: 'TEMPLATE_INVALID',
    message: /dialogues\.jsonl:1/,
  });
  const chat = join(temporary, 'chat');
  await cp(model, chat, { recursive: true });
  await writeFile(
    join(chat, 'chat_template.jinja'),
    "{{ bos_token }}{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}",
  );
  const open = await openTexts({ model: chat, preferences: path }, 6);
  const { pairs } = await readPairs(open, 1);
  t.regex(spoken(pairs[0]!.prompt), /^<s>What of the \w+\?$/);
  const { example } = open.encoder.encode(pairs[0]!);
  const [begin, end] = [open.encoder.bos!.id, open.encoder.eos!.id];
  t.deepEqual(
    [...example!.prompt].filter((id) => id === begin),
    [begin],
  );
  t.is(example!.responses[0]!.tokens.at(-1), end);
  t.deepEqual(open.stopTokens, [end]);
});

test('what cannot be run is refused, with the way out', async (t) => {
  const refused = async (given: Partial<typeof files>, code: string, message: RegExp) => {
    await t.throwsAsync(recipeOfFiles('ci', { ...files, ...given }), { code, message });
  };
  await refused({ model: join(temporary, 'nowhere') }, 'CHECKPOINT_NOT_FOUND', /nowhere/);
  const texts = await write('texts.jsonl', [{ prompt: 'What', completion: ' red' }]);
  await refused({ preferences: texts }, 'DATA_INVALID', /texts\.jsonl:1.*"completion".*rejected/);
  const few = await write('few.jsonl', rows.slice(0, 9));
  // Of 64 positions two responses of 64 tokens leave nothing.
  await refused({}, 'OPTION_INVALID', /no room for a prompt.*--max-new-tokens/);
  await t.throwsAsync(recipeOfFiles('ci', { model, preferences: few }, { maxNewTokens: 6 }), {
    code: 'DATA_INVALID',
    message: /needs 16 pairs.*9 of 9/,
  });
  const reward = join(temporary, 'reward');
  await using scalar = await LanguageModel.load(model, { scalarHead: 1 });
  await scalar.save(reward);
  await writeTokenizer(reward, tokenizer);
  await refused({ model: reward }, 'OPTION_INVALID', /reward model/);
});

test('recipes by hand are checked as well', async (t) => {
  const { recipe } = await planned;
  const run = (changes: Partial<Recipe>, name: string) =>
    performanceGap({ recipe: { ...recipe, ...changes }, folder: join(temporary, name) });
  await t.throwsAsync(run({ pairs: 400 }, 'many'), {
    code: 'DATA_INVALID',
    message: /asks for 400 pairs and 5 held-out ones.*40 of 40/,
  });
  await t.throwsAsync(run({ world: 'chat' }, 'both'), {
    code: 'OPTION_INVALID',
    message: /both a world and files/,
  });
});

test('changes of the arms keep the ratios of the sweeps', (t) => {
  const usual = recipeOf('cpu');
  const { arm, offline, weakBeta, windows, evaluation, asserts } = recipeOf('cpu', {
    learningRate: 1e-5,
    beta: 0.1,
    steps: 60,
    batchSize: 8,
  });
  t.deepEqual(arm, { steps: 60, batchSize: 8, learningRate: 1e-5, beta: 0.1 });
  t.true(offline.learningRates.includes(arm.learningRate) && offline.betas.includes(arm.beta));
  t.is(offline.betas.length, usual.offline.betas.length);
  const ratio = (weakBeta ?? 0) / arm.beta;
  t.true(Math.abs(ratio - usual.weakBeta! / usual.arm.beta) < 1e-9); // of twelve digits
  t.true(windows.every((window) => window >= 2 && window <= 60));
  t.is(evaluation.steps.at(-1), 60);
  t.deepEqual(asserts, ['S1.3']);
  t.throws(() => recipeOf('cpu', { beta: 0 }), { code: 'OPTION_INVALID', message: /beta/ });
  t.throws(() => recipeOf('cpu', { steps: 0.5 }), { code: 'OPTION_INVALID', message: /steps/ });
});

test('the command takes a checkpoint and pairs together, or a world', async (t) => {
  const { code, stderr } = await start([
    ...['study', 'performance-gap', '--scale', 'ci', '--world', 'chat'],
    ...['--model', model, '--preferences', preferences, '--output', join(temporary, 'none')],
  ]).outcome;
  t.is(code, 1);
  t.regex(stderr, /OPTION_INVALID.*--world was given with --model/);
});
