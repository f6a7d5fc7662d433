// What might make offline data good (section 6), measured of a dataset: nearness to the SFT policy,
// contrast between the sides of its pairs, quality of its responses.
import type { LanguageModel } from '../../../engine/model.js';
import { AlignlabError } from '../../../errors.js';
import { perplexity } from '../../../evaluation/perplexity.js';
import { drawResponses } from '../../../evaluation/samples.js';
import { type Estimate, estimate } from '../../../evaluation/statistics.js';
import { compareResponses } from '../../../evaluation/win-rate.js';
import type { JudgedResponse, PairJudge } from '../../../judges/judge.js';
import type { Example } from '../../../text/example.js';
import type { Artefact } from '../../study.js';
import { groundInputs } from '../bench.js';
import { evaluationPrompts } from '../golden-policy.js';
import type { Lab } from '../lab.js';
import { loadJudge, loadModel, promptsOf } from '../materials.js';
import { readGoldenPairs, worldSeed } from '../protocol.js';
import { readRegenerated } from '../regenerated.js';
import { derivedSeed } from '../../../data/random.js';

export interface DataProperties {
  /** Looked at: one of each evaluation prompt that the data have. */
  readonly pairs: number;
  /** Mean -log π_sft of a response, nats; and of a token. */
  readonly surprise: number;
  readonly surprisePerToken: number;
  /** Win rate of responses against the golden policy's to the same prompt, by the golden model. */
  readonly quality: Estimate;
  /** The same of the better response, less that of the worse one. */
  readonly margin: Estimate;
  /**
   * Win rate of the second side over the first on fresh samples to the evaluation prompts; null for
   * D_golden, whose responses have no sides.
   */
  readonly contrast: Estimate | null;
  readonly [key: string]: unknown;
}

/** The policies that wrote the first and the second response. */
export type Sides = readonly [Artefact, Artefact];

type Prompts = ReturnType<typeof promptsOf>;

interface Measuring {
  readonly judge: PairJudge<'golden'>;
  readonly prompts: Prompts;
  readonly opponent: readonly JudgedResponse[];
}

const rated = (outcomes: readonly (number | null)[]): number[] =>
  outcomes.map((outcome) => outcome ?? 0.5);

const once = { resamples: 1 };

/** By evaluation prompt the first pair that the data have of it. */
const pairsByPrompt = (examples: readonly Example[], prompts: Prompts): (Example | undefined)[] => {
  const found = new Map<string, Example>();
  for (const example of examples) {
    const key = example.prompt.join();
    if (!found.has(key)) found.set(key, example);
  }
  return prompts.map(({ tokens }) => found.get(tokens.join()));
};

const qualityOf = async (
  lab: Lab,
  pairs: readonly (Example | undefined)[],
  { judge, prompts, opponent }: Measuring,
): Promise<Pick<DataProperties, 'quality' | 'margin'>> => {
  const { encoder } = lab.materials;
  const places = [...pairs.keys()].filter((i) => pairs[i] !== undefined);
  const asked = places.map((i) => prompts[i]!);
  const theirs = places.map((i) => opponent[i]!);
  const side = async (of: 0 | 1): Promise<number[]> => {
    const responses = places.map((i): JudgedResponse => {
      const { prompt, responses: own } = pairs[i]!;
      const { tokens, truncated = false } = own[of]!;
      return { tokens, truncated, text: encoder.decode(tokens, prompt) };
    });
    return rated((await compareResponses(judge, asked, responses, theirs, once)).outcomes);
  };
  const [better, worse] = [await side(0), await side(1)];
  return {
    // A pair is one observation: its two responses answer one prompt.
    quality: estimate(better.map((outcome, i) => (outcome + worse[i]!) / 2)),
    margin: estimate(better.map((outcome, i) => outcome - worse[i]!)),
  };
};

const contrastOf = async (
  { materials }: Lab,
  sides: Sides,
  seed: bigint,
  { judge, prompts }: Measuring,
): Promise<Estimate> => {
  const { encoder, sampling } = materials;
  const draw = async (side: Artefact, stream: string): Promise<JudgedResponse[]> => {
    await using policy: LanguageModel = await loadModel(side, materials);
    const drawn = await drawResponses(policy, prompts, { encoder, sampling, seed, stream });
    return drawn.map(([response]) => response!);
  };
  const [first, second] = [await draw(sides[0], 'first side'), await draw(sides[1], 'second side')];
  return estimate(rated((await compareResponses(judge, prompts, second, first, once)).outcomes));
};

/**
 * A stage of its own.
 * @param data instead of D_golden, with the policies that wrote them
 */
export const dataProperties = async (
  lab: Lab,
  data: { readonly artefact: Artefact; readonly sides: Sides } | null,
): Promise<Artefact<DataProperties>> => {
  const { materials, recipe, golden, dataset, goldenPolicy } = lab;
  const ground = await lab.ground();
  return lab.stage<DataProperties>({
    name: `properties of ${data ? data.artefact.name : 'D_golden'}`,
    settings: { prompts: recipe.evaluation.prompts, sampling: { ...materials.sampling } },
    inputs: [...groundInputs(ground), ...(data ? [data.artefact, ...data.sides] : [])],
    run: async () => {
      const original = await readGoldenPairs(dataset, materials);
      const examples = data ? await readRegenerated(data.artefact) : original.examples;
      const prompts = promptsOf(evaluationPrompts(original, recipe), materials.encoder);
      const pairs = pairsByPrompt(examples, prompts);
      const present = pairs.filter((pair) => pair !== undefined);
      if (present.length === 0) {
        throw new AlignlabError('INTERNAL', 'The data have none of the evaluation prompts.');
      }
      await using start = await loadModel(ground.start, materials);
      const surprise = await perplexity(start, present, { of: 'both', ...once });
      const judge = await loadJudge('golden', golden, materials);
      try {
        const opponent = goldenPolicy.result.responses.map(({ text, tokens }) => ({
          text,
          tokens: Int32Array.from(tokens),
          truncated: false,
        }));
        const measuring = { judge, prompts, opponent };
        const seed = derivedSeed(worldSeed, 'contrast');
        return {
          pairs: present.length,
          surprise: surprise.nllPerResponse,
          surprisePerToken: surprise.nllPerToken,
          ...(await qualityOf(lab, pairs, measuring)),
          contrast: data ? await contrastOf(lab, data.sides, seed, measuring) : null,
        };
      } finally {
        await judge.dispose?.();
      }
    },
  });
};
