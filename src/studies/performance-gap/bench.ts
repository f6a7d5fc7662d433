// The common ground of arms, and the judges and models that measure them.
import { derivedSeed } from '../../data/random.js';
import type { JudgedResponse } from '../../judges/judge.js';
import type { Artefact, Stages } from '../study.js';
import { type GoldenPolicyResult, evaluationPrompts } from './golden-policy.js';
import { type Materials, loadJudge, loadModel, promptsOf } from './materials.js';
import { type Bench, type Point, type Sample, measure } from './measure.js';
import { type GoldenPairs, readGoldenPairs } from './protocol.js';

export interface Ground {
  readonly materials: Materials;
  readonly golden: Artefact;
  readonly dataset: Artefact;
  /** The SFT policy where the arms begin. */
  readonly start: Artefact;
  readonly goldenPolicy: Artefact<GoldenPolicyResult>;
}

export const groundInputs = ({ golden, dataset, start, goldenPolicy }: Ground): Artefact[] => [
  golden,
  dataset,
  start,
  goldenPolicy,
];

/** Opens the judges and models of measurements; dispose of them by the last value. */
export const openBench = async (
  { materials, golden, dataset, start, goldenPolicy }: Ground,
  proxy: Artefact,
): Promise<readonly [Bench, GoldenPairs, () => Promise<void>]> => {
  const { recipe, encoder } = materials;
  const pairs = await readGoldenPairs(dataset, materials);
  const judges = [
    await loadJudge('golden', golden, materials),
    await loadJudge('proxy', proxy, materials),
  ] as const;
  const reference = await loadModel(start, materials);
  const bench: Bench = {
    materials,
    prompts: promptsOf(evaluationPrompts(pairs, recipe), encoder),
    opponent: goldenPolicy.result.responses.map(({ text, tokens }): JudgedResponse => ({
      text,
      tokens: Int32Array.from(tokens),
      truncated: false,
    })),
    golden: judges[0],
    proxy: judges[1],
    start: reference,
    pairs: pairs.examples.slice(0, recipe.evaluation.pairs),
  };
  const close = async (): Promise<void> => {
    for (const judge of judges) await judge.dispose?.();
    await reference.dispose();
  };
  return [bench, pairs, close];
};

/** The SFT policy itself, where all arms begin. */
export const startPoint = (
  stages: Stages,
  ground: Ground,
  proxy: Artefact,
): Promise<Artefact<{ readonly point: Point; readonly samples: readonly Sample[] }>> =>
  stages.stage({
    name: 'start policy, measured',
    settings: { evaluation: { ...ground.materials.recipe.evaluation } },
    inputs: [...groundInputs(ground), proxy],
    run: async () => {
      const [bench, , close] = await openBench(ground, proxy);
      try {
        const seed = derivedSeed(0, 'start policy');
        return { ...(await measure(bench.start, { step: 0, seed }, bench)) };
      } finally {
        await close();
      }
    },
  });
