// Offline data whose responses come from policies (Tang et al. 2024, sections 5.2 and 6): to each prompt
// of D_golden one from either side, ordered by the golden model. D_4k-vs-4k has the final online policy
// on both sides; D_sft-vs-800 and D_800-vs-4k have SFT or the early online policy on one.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { regenerate } from '../../ablations/regenerate.js';
import { datasetOf } from '../../data/dataset.js';
import { derivedSeed } from '../../data/random.js';
import type { Example } from '../../text/example.js';
import type { Artefact, Stages } from '../study.js';
import { type DataName, earlyStep } from './arms.js';
import type { Ground } from './bench.js';
import { loadJudge, loadModel } from './materials.js';
import { readGoldenPairs } from './protocol.js';

interface StoredPair {
  readonly origin: string;
  readonly prompt: readonly number[];
  /** The better one first. */
  readonly responses: readonly (readonly number[])[];
}

const fileName = 'examples.json';

type PolicyName = 'sft' | 'early' | 'end';

const sidesOf: Readonly<Record<DataName, readonly [PolicyName, PolicyName]>> = {
  'end-vs-end': ['end', 'end'],
  'sft-vs-early': ['sft', 'early'],
  'early-vs-end': ['early', 'end'],
};

const longNames: Readonly<Record<PolicyName, string>> = {
  sft: 'SFT policy',
  early: 'early online policy',
  end: 'final online policy',
};

export interface RegeneratedOptions {
  readonly name: DataName;
  readonly seed: number;
  readonly policies: Readonly<Record<PolicyName, Artefact>>;
  /** The run that the early and the final policy are of. */
  readonly online: Artefact;
}

export const regeneratedPairs = (
  stages: Stages,
  { materials, golden, dataset, start }: Ground,
  { name, seed, policies, online }: RegeneratedOptions,
): Promise<Artefact> =>
  stages.stage({
    name: `data ${name}, seed ${seed}`,
    settings: { name, seed, sampling: { ...materials.sampling } },
    inputs: [golden, dataset, start, online],
    run: async ({ folder, signal }) => {
      const { encoder, sampling, recipe } = materials;
      const { pairs } = await readGoldenPairs(dataset, materials);
      const judge = await loadJudge('golden', golden, materials);
      const { steps } = recipe.arm;
      const stepOf = { sft: 0, early: earlyStep(steps), end: steps };
      const [first, second] = sidesOf[name];
      const load = (side: PolicyName) => loadModel(policies[side], materials);
      await using one = await load(first);
      await using other = await load(second);
      const sideOf = (side: PolicyName, model: typeof one) => ({
        model,
        name: longNames[side],
        step: stepOf[side],
      });
      try {
        const made = await regenerate(datasetOf(pairs, 'D_golden', {}), {
          encoder,
          first: sideOf(first, one),
          second: sideOf(second, other),
          judge,
          sampling,
          seed: derivedSeed(seed, name),
          ...(signal ? { signal } : {}),
        });
        const stored = made.examples.map(({ origin, prompt, responses }): StoredPair => ({
          origin,
          prompt: [...prompt],
          responses: responses.map(({ tokens }) => [...tokens]),
        }));
        await writeFile(join(folder, fileName), JSON.stringify(stored));
        return { pairs: stored.length, ties: made.ties, dropped: made.dropped };
      } finally {
        await judge.dispose?.();
      }
    },
  });

/** As tokens, which is what was drawn. */
export const readRegenerated = async ({ folder }: Artefact): Promise<Example[]> => {
  const stored = JSON.parse(await readFile(join(folder, fileName), 'utf8')) as StoredPair[];
  return stored.map(({ origin, prompt, responses }) => ({
    kind: 'pair',
    origin,
    prompt: Int32Array.from(prompt),
    responses: responses.map((tokens) => ({ tokens: Int32Array.from(tokens) })),
  }));
};
