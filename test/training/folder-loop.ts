// Trains two small models for some steps, with a run folder, by a loop that knows nothing but the
// recorder. It may die on the way, as a crash would.
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { permutation } from '../../src/data/random.js';
import { LanguageModel } from '../../src/engine/model.js';
import { RunFolder } from '../../src/training/run-folder.js';
import type { Source } from '../../src/sources/source.js';

export interface FolderRun {
  readonly steps: number;
  readonly saveSteps: number;
  readonly dtype: 'f32' | 'bf16';
  readonly resume?: boolean | string;
  readonly saveTotalLimit?: number;
  /** Die at this step: before its update, between files of its checkpoint, within its log line. */
  readonly kill?: { readonly step: number; readonly during: 'step' | 'save' | 'line' };
}

const config = {
  model_type: 'llama',
  hidden_size: 64,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_hidden_layers: 2,
  intermediate_size: 96,
  vocab_size: 97,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
};
/** `die` must not return. */
export const folderRun = async (
  folder: string,
  { steps, saveSteps, dtype, kill, ...options }: FolderRun,
  die: () => void,
): Promise<void> => {
  const dieAt = (step: number, during: string): void => {
    if (kill?.step === step && kill.during === during) die();
  };

  await using policy = await LanguageModel.create(config, { seed: 1, dtype });
  await using critic = await LanguageModel.create(config, { seed: 2, dtype });
  // Its state is part JSON, part file.
  let cursor = 0;
  let seen = '';
  const source: Source = {
    describe: () => ({ kind: 'numbers' }),
    take: () => Promise.resolve([]),
    state: () => ({ cursor }),
    restore: (state) => {
      cursor = (state as { cursor: number }).cursor;
    },
    save: async (to) => {
      dieAt(cursor, 'save');
      await writeFile(join(to, 'seen.txt'), seen);
    },
    load: async (from) => {
      seen = await readFile(join(from, 'seen.txt'), 'utf8');
    },
  };

  const update = async (model: LanguageModel, step: number, stream: number) => {
    const batch = [{ tokens: Int32Array.from(permutation(97, 1, step, stream).subarray(0, 40)) }];
    using pass = await model.forward(batch);
    const { logProbs } = pass;
    await pass.backward({ logProbs: logProbs.map(() => -1 / logProbs.length) });
    dieAt(step, 'step');
    const { gradNorm } = await model.step({ learningRate: 1e-2 });
    return { loss: -logProbs.reduce((sum, x) => sum + x, 0) / logProbs.length, gradNorm };
  };

  await using run = await RunFolder.open(folder, { config: { steps, dtype }, ...options });
  await run.begin({ seed: 1, source: source.describe() });
  const parts = { policy, models: { critic }, source };
  const from = await run.restore(parts);
  // A running mean, as a controller would have it.
  let mean = (from?.parts.mean ?? 0) as number;
  for (let step = (from?.step ?? 0) + 1; step <= steps; step += 1) {
    const { loss, gradNorm } = await update(policy, step, 0);
    const other = await update(critic, step, 1);
    mean = 0.9 * mean + 0.1 * loss;
    cursor += 1;
    seen += `${step} `;
    await appendFile(run.completionsPath, `{"step":${step},"seen":"${seen}"}\n`);
    if (kill?.step === step && kill.during === 'line') {
      await appendFile(join(folder, 'metrics.jsonl'), `{"step":${step},"lo`);
      dieAt(step, 'line');
    }
    await run.logStep({
      index: step,
      loss,
      gradNorm,
      learningRate: 1e-2,
      tokens: step * 80,
      seconds: 0.1,
      metrics: { mean, 'critic/loss': other.loss },
    });
    if (step % saveSteps !== 0 && step !== steps) continue;
    const state = { step, tokens: step * 80, source: source.state(), parts: { mean } };
    await run.saveCheckpoint({ ...parts, state });
  }
  await run.end(true);
};
