// D_4k-vs-4k (Tang et al. 2024, section 5.2): both responses to each prompt of D_golden from the final
// online policy, ordered by the golden model.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { regenerate } from '../../ablations/regenerate.js';
import { datasetOf } from '../../data/dataset.js';
import { derivedSeed } from '../../data/random.js';
import type { Example } from '../../text/example.js';
import type { Artefact, Study } from '../study.js';
import type { Ground } from './arms.js';
import { loadJudge, loadModel } from './materials.js';
import { readGoldenPairs } from './protocol.js';

interface StoredPair {
  readonly origin: string;
  readonly prompt: readonly number[];
  /** The better one first. */
  readonly responses: readonly (readonly number[])[];
}

const fileName = 'examples.json';

export const endVersusEnd = (
  study: Study,
  { materials, golden, dataset }: Ground,
  online: Artefact,
  seed: number,
): Promise<Artefact> =>
  study.stage({
    name: `data of the final online policy, seed ${seed}`,
    settings: { seed, sampling: { ...materials.sampling } },
    inputs: [golden, dataset, online],
    run: async ({ folder, signal }) => {
      const { encoder, sampling } = materials;
      const { pairs } = await readGoldenPairs(dataset, materials);
      const judge = await loadJudge('golden', golden, materials);
      await using model = await loadModel(online);
      try {
        const side = { model, name: 'final online policy', step: materials.recipe.arm.steps };
        const made = await regenerate(datasetOf(pairs, 'D_golden', {}), {
          encoder,
          first: side,
          second: side,
          judge,
          sampling,
          seed: derivedSeed(seed, 'end-vs-end'),
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
