// DPO and HyPO on a checkpoint and preference data of the user's: real text, no world and no judge.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { filesHash } from '../../../data/content-hash.js';
import { openDataset } from '../../../data/open.js';
import { LanguageModel } from '../../../engine/model.js';
import { AlignlabError, fromSystem } from '../../../errors.js';
import { offlineLogRatio } from '../../../evaluation/coverage.js';
import { measureKl } from '../../../evaluation/kl.js';
import { promptOf, type PolicyPrompt } from '../../../sources/prompts.js';
import { ChatTemplate } from '../../../text/chat-template.js';
import { Encoder } from '../../../text/encoding.js';
import type { Example } from '../../../text/example.js';
import { Tokenizer } from '../../../text/tokenizer.js';
import type { Artefact, StageContext, Stages } from '../../study.js';
import { type Ground, type Method, methodTitle, trainMethod } from './methods.js';
import type { StoriesFiles, StoriesRecipe } from './recipe.js';

export interface StoriesPoint {
  readonly step: number;
  /** KL(pi || pi_ref) on fresh samples on held-out prompts, nats of a response. */
  readonly kl: number;
  readonly klError: number;
  /** E_D[log pi / pi_ref], nats. */
  readonly onData: number;
}

export interface StoriesResult extends Record<string, unknown> {
  readonly points: readonly StoriesPoint[];
  /** Pairs that fit. */
  readonly pairs: number;
  readonly prompts: number;
}

const openEncoder = async (folder: string, { maxLength }: StoriesRecipe): Promise<Encoder> =>
  new Encoder(await Tokenizer.load(folder), {
    maxLength,
    truncation: 'drop',
    chatTemplate: await ChatTemplate.load(folder),
  });

const tooFew = (path: string, what: string): AlignlabError =>
  new AlignlabError(
    'DATA_INVALID',
    `${path} has ${what}. Give more or shorter rows, or a larger maxLength.`,
  );

const readPairs = async (
  path: string,
  encoder: Encoder,
  { pairs }: StoriesRecipe,
): Promise<Example[]> => {
  const found: Example[] = [];
  for await (const record of await openDataset(path)) {
    if (record.kind !== 'preference') {
      throw new AlignlabError(
        'DATA_INVALID',
        `${record.origin} is of kind "${record.kind}"; preferences need rows with prompt, chosen ` +
          'and rejected.',
      );
    }
    const { example } = encoder.encode(record);
    if (example) found.push(example);
    if (found.length === pairs) break;
  }
  if (found.length === 0) throw tooFew(path, 'no pair that fits');
  return found;
};

/** Without those of the data. */
const readPrompts = async (
  path: string,
  encoder: Encoder,
  data: readonly Example[],
  { evaluation, maxLength, maxNewTokens }: StoriesRecipe,
): Promise<PolicyPrompt[]> => {
  const known = new Set(data.map(({ prompt }) => prompt.join()));
  const found: PolicyPrompt[] = [];
  for await (const record of await openDataset(path)) {
    const prompt = promptOf(record, encoder);
    if (!prompt || prompt.tokens.length + maxNewTokens > maxLength) continue;
    if (known.has(prompt.tokens.join())) continue;
    known.add(prompt.tokens.join());
    found.push(prompt);
    if (found.length === evaluation.prompts) break;
  }
  if (found.length === 0) throw tooFew(path, 'no prompt that fits and is not in the data');
  return found;
};

/** Prompts of the data, each once. */
const unlabelled = (data: readonly Example[]): PolicyPrompt[] => {
  const prompts = new Map(data.map(({ prompt }) => [prompt.join(), prompt]));
  return [...prompts.values()].map((tokens) => ({ tokens, text: '' }));
};

/** Of E_D: more of them cost a pass of both models each. */
const pairsMeasured = 64;

const runArm = async (
  { files, ...recipe }: StoriesRecipe & { readonly files: StoriesFiles },
  method: Method,
  seed: number,
  context: StageContext,
): Promise<StoriesResult> => {
  const encoder = await openEncoder(files.model, { ...recipe, files });
  const pairs = await readPairs(files.preferences, encoder, { ...recipe, files });
  const held = await readPrompts(files.prompts, encoder, pairs, { ...recipe, files });
  await using reference = await LanguageModel.load(files.model);
  await using policy = await LanguageModel.load(files.model, { trainable: true });
  const stopTokens = encoder.eos ? [encoder.eos.id] : [];
  const sampling = { maxNewTokens: recipe.maxNewTokens, stopTokens };
  const prompts = unlabelled(pairs);
  const ground: Ground = { policy, reference, pairs, prompts, sampling, encoder, reward: null };
  const points: StoriesPoint[] = [];
  const measure = async (step: number): Promise<void> => {
    const kl = await measureKl({ policy, reference, prompts: held, sampling, seed });
    const groups = pairs.slice(0, pairsMeasured).map(({ prompt, responses }) => ({
      prompt,
      responses: responses.map(({ tokens }) => tokens),
    }));
    const onData = await offlineLogRatio(policy, reference, groups);
    const { mean, standardError } = kl.exact;
    points.push({ step, kl: mean, klError: standardError ?? 0, onData: onData.mean });
  };
  const measuredAt = recipe.evaluation.steps.filter((step) => step <= recipe.arm.steps);
  const options = { method, training: recipe.arm, seed, measuredAt, measure };
  await trainMethod(ground, options, context);
  return { points, pairs: pairs.length, prompts: held.length };
};

/** Of everything that a run reads. */
const hashes = async ({ model, preferences, prompts }: StoriesFiles) => {
  const names = await readdir(model).catch((cause: unknown) => {
    throw fromSystem(cause, `read the folder ${model}`);
  });
  const relevant = names.filter((name) => /\.(safetensors|json|jinja)$/.test(name)).sort();
  return {
    model: await filesHash(relevant.map((name) => join(model, name))),
    preferences: await filesHash([preferences]),
    prompts: await filesHash([prompts]),
  };
};

export const storiesArm = async (
  stages: Pick<Stages, 'stage'>,
  recipe: StoriesRecipe,
  method: Method,
  seed: number,
): Promise<Artefact<StoriesResult>> => {
  const files = recipe.files!;
  const { files: _, ...settings } = recipe;
  return stages.stage<StoriesResult>({
    name: `${methodTitle(method)}, seed ${seed}, on the files given`,
    settings: { ...settings, files: await hashes(files), method: { ...method }, seed },
    run: (context) => runArm({ ...recipe, files }, method, seed, context),
  });
};
