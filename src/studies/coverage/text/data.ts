// Data of the text half: what the SFT policy learns, and D, pairs of a behaviour policy whose coverage
// of the reference is controlled, labelled by the rater with its noise.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { derivedSeed, shuffled, uniform } from '../../../data/random.js';
import type { LanguageModel } from '../../../engine/model.js';
import { AlignlabError } from '../../../errors.js';
import { mean } from '../../../evaluation/statistics.js';
import { sumOf } from '../../../numbers.js';
import type { Example } from '../../../text/example.js';
import type { World } from '../../../worlds/index.js';
import { loadModel, promptsOf } from '../../performance-gap/materials.js';
import type { Artefact, Stages } from '../../study.js';
import { type TextMaterials, worldSeed } from './materials.js';
import type { Behaviour, TextRecipe } from './recipe.js';

/** As `readGoldenPairs` of the performance-gap study reads it: the SFT stage is that study's. */
export const sftData = (
  stages: Stages,
  { world, unrelated, artefact }: TextMaterials,
  { sft: { pairs, unrelatedPairs } }: TextRecipe,
): Promise<Artefact> =>
  stages.stage({
    name: 'texts of the SFT policy',
    settings: { pairs, unrelatedPairs },
    inputs: [artefact],
    run: async ({ folder }) => {
      const own = world.preferences(pairs, derivedSeed(worldSeed, 'sft'));
      const other = unrelated.preferences(unrelatedPairs, derivedSeed(worldSeed, 'unrelated'));
      const all = shuffled([...own, ...other], worldSeed, 'mixed');
      await writeFile(join(folder, 'pairs.json'), JSON.stringify({ pairs: all, validation: [] }));
      return { pairs: all.length };
    },
  });

/** Of D, in its order; unlabelled samples and online RLHF take the same. */
export const trainingPrompts = ({ world }: TextMaterials, { pairs }: TextRecipe): string[] =>
  world.prompts('train', pairs, derivedSeed(worldSeed, 'data'));

/** Of nothing else. */
export const evaluationPrompts = (
  { world }: TextMaterials,
  { evaluation }: TextRecipe,
): string[] => world.prompts('test', evaluation.prompts, derivedSeed(worldSeed, 'evaluation'));

export interface DataResult {
  readonly pairs: number;
  /** Prompts to which the behaviour policy had no two different responses. */
  readonly dropped: number;
  /** KL(mu || pi_ref) of whole responses, nats: 0 where the data covers all of the reference. */
  readonly divergence: number;
  /** Entropy of the behaviour policy's responses, nats. */
  readonly entropy: number;
  /** Mean of the rater's score. */
  readonly quality: number;
  readonly [key: string]: unknown;
}

interface StoredPair {
  readonly prompt: readonly number[];
  /** The chosen one first. */
  readonly responses: readonly (readonly number[])[];
}

const fileName = 'examples.json';

interface Drawn {
  readonly tokens: Int32Array;
  readonly text: string;
  /** log mu of the response, and log mu - log pi_ref; before the support mask. */
  readonly logProb: number;
  readonly logRatio: number;
}

/** Of each prompt; a mask and duplicates use some of them up. */
const candidates = 4;

const draw = async (
  model: LanguageModel,
  texts: readonly string[],
  { temperature, topK }: Behaviour,
  { encoder, sampling }: TextMaterials,
  seed: bigint,
): Promise<Drawn[][]> => {
  const prompts = promptsOf(texts, encoder);
  const options = { ...sampling, temperature, topK, samples: candidates, seed };
  const drawn = await model.generate(
    prompts.map(({ tokens }) => tokens),
    options,
  );
  const responses = prompts.map((): Drawn[] => []);
  for (const { prompt, tokens, logProbs, processedLogProbs } of drawn) {
    const logProb = sumOf(processedLogProbs);
    const text = encoder.decode(tokens, prompts[prompt]!.tokens);
    responses[prompt]!.push({ tokens, text, logProb, logRatio: logProb - sumOf(logProbs) });
  }
  return responses;
};

const hasNone = (text: string, words: ReadonlySet<string>): boolean =>
  words.size === 0 || !(text.toLowerCase().match(/[a-z']+/g) ?? []).some((word) => words.has(word));

/** The first two that differ. */
const twoOf = (drawn: readonly Drawn[]): readonly [Drawn, Drawn] | null => {
  const [first] = drawn;
  const second = drawn.find(({ text }) => text !== first?.text);
  return first && second ? [first, second] : null;
};

/** By Bradley and Terry, at the noise of the world. */
const isFirstBetter = (world: World, prompt: string, texts: readonly string[], i: number): boolean => {
  const [a, b] = texts.map((text) => world.rate(prompt, text).golden);
  return uniform(worldSeed, 'label', i) < 1 / (1 + Math.exp(-(a! - b!) / world.noise));
};

interface Made {
  readonly stored: readonly StoredPair[];
  readonly result: DataResult;
}

const makePairs = (
  texts: readonly string[],
  responses: readonly (readonly Drawn[])[],
  { without }: Behaviour,
  { world, encoder }: TextMaterials,
): Made => {
  const masked = new Set(without.map((word) => word.toLowerCase()));
  const allowed = responses.map((group) => group.filter(({ text }) => hasNone(text, masked)));
  const all = responses.flat();
  const left = allowed.flat();
  const stored: StoredPair[] = [];
  texts.forEach((prompt, i) => {
    const pair = twoOf(allowed[i]!);
    if (!pair) return;
    const better = isFirstBetter(
      world,
      prompt,
      pair.map(({ text }) => text),
      i,
    );
    const ordered = better ? pair : [pair[1], pair[0]];
    const tokens = [...encoder.encodePrompt(prompt)];
    stored.push({ prompt: tokens, responses: ordered.map((one) => [...one.tokens]) });
  });
  if (stored.length === 0) {
    throw new AlignlabError(
      'OPTION_INVALID',
      'The behaviour policy has no two different responses to any prompt. Raise its temperature or ' +
        'topK, or exclude fewer words.',
    );
  }
  const maskCost = Math.log(all.length / left.length); // a mask divides what is left by its mass
  const qualities = texts.flatMap((prompt, i) =>
    allowed[i]!.slice(0, 1).map(({ text }) => world.rate(prompt, text).golden),
  );
  const result = {
    pairs: stored.length,
    dropped: texts.length - stored.length,
    divergence: mean(left.map(({ logRatio }) => logRatio)) + maskCost,
    entropy: -mean(left.map(({ logProb }) => logProb)) - maskCost,
    quality: mean(qualities),
  };
  return { stored, result };
};

/** D of a behaviour policy, which samples from this reference. */
export const behaviourData = (
  stages: Stages,
  materials: TextMaterials,
  recipe: TextRecipe,
  { behaviour, reference }: { readonly behaviour: Behaviour; readonly reference: Artefact },
): Promise<Artefact<DataResult>> =>
  stages.stage<DataResult>({
    name: `data, ${behaviour.name}, of ${reference.name}`,
    settings: {
      behaviour: { ...behaviour, without: [...behaviour.without] },
      pairs: recipe.pairs,
      validation: recipe.validation,
      sampling: { ...materials.sampling },
    },
    inputs: [materials.artefact, reference],
    run: async ({ folder }) => {
      await using model = await loadModel(reference, materials);
      const held = materials.world.prompts(
        'validation',
        recipe.validation,
        derivedSeed(worldSeed, 'held out'),
      );
      const make = async (texts: readonly string[], name: string): Promise<Made> => {
        const seed = derivedSeed(worldSeed, 'behaviour', name);
        const drawn = await draw(model, texts, behaviour, materials, seed);
        return makePairs(texts, drawn, behaviour, materials);
      };
      const { stored: pairs, result } = await make(trainingPrompts(materials, recipe), 'data');
      const { stored: validation } = await make(held, 'held out');
      await writeFile(join(folder, fileName), JSON.stringify({ pairs, validation }));
      return result;
    },
  });

const toExamples = (stored: readonly StoredPair[], name: string): Example[] =>
  stored.map(({ prompt, responses }, i) => ({
    kind: 'pair',
    origin: `${name}, pair ${i}`,
    prompt: Int32Array.from(prompt),
    responses: responses.map((tokens) => ({ tokens: Int32Array.from(tokens) })),
  }));

/** As tokens, which is what was drawn. */
export const readData = async ({
  folder,
  name,
}: Artefact): Promise<Readonly<Record<'pairs' | 'validation', Example[]>>> => {
  const { pairs, validation } = JSON.parse(await readFile(join(folder, fileName), 'utf8')) as Record<
    'pairs' | 'validation',
    StoredPair[]
  >;
  return { pairs: toExamples(pairs, name), validation: toExamples(validation, `${name}, held out`) };
};
