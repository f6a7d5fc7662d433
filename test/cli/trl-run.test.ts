// TRL's own settings and data, given to the commands as they are, give TRL's own log.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { trainingCommands } from '../../src/cli/config/commands.js';
import { readYamlLayer } from '../../src/cli/config/layers.js';
import { resolveConfig } from '../../src/cli/config/resolve.js';
import { runTraining } from '../../src/cli/training/run.js';
import { goldens, referenceTest } from '../helpers/reference-files.js';
import { readLines, scratch } from './cli.js';

const folder = join(goldens, 'trl');

/** Golden run, command, and what its data file and start checkpoint are called. */
const runs = [
  ['dpo', 'dpo', 'preferences', 'start'],
  ['exo', 'dpo', 'preferences', 'start'],
  ['dpo-truncated', 'dpo', 'preferences', 'start'],
  ['kto', 'kto', 'unpaired', 'start'],
  ['simpo', 'cpo', 'preferences', 'start'],
  ['reward', 'reward', 'preferences', 'reward-start'],
  ['sft', 'sft', 'preferences', 'start'],
] as const;

for (const [golden, name, data, start] of runs) {
  referenceTest(`${name} under TRL's settings of ${golden} gives TRL's log`, async (t) => {
    const output = join(await scratch(t), 'run');
    const text = await readFile(join(folder, golden, 'settings.json'), 'utf8');
    const { made_with: _, data_order: __, ...settings } = JSON.parse(text) as Record<string, never>;
    const yaml = join(output, '..', 'trl.yaml');
    await writeFile(yaml, stringify(settings));
    const command = trainingCommands.find((each) => each.name === name)!;
    const given = {
      model: join(folder, start),
      tokenizer_name_or_path: join(folder, 'start'),
      dataset: join(folder, `${data}.jsonl`),
      output,
      train_sampling_strategy: 'sequential',
      report_to: 'none',
      // TRL's SFT counts tokens over the step, the others average their micro-batches.
      ...(name === 'sft' ? {} : { normalization: 'micro' }),
    };
    const layers = [await readYamlLayer(yaml), { from: 'flags', values: given }];
    await runTraining(resolveConfig(command, layers));
    const [ours, theirs] = await Promise.all(
      [join(output, 'metrics.jsonl'), join(folder, golden, 'log.jsonl')].map(readLines),
    );
    t.is(ours!.length, theirs!.length);
    theirs!.forEach((line, i) => {
      for (const key of ['loss', 'grad_norm', 'learning_rate', 'rewards/margins', 'logps/chosen']) {
        const [a, b] = [ours![i]![key], line[key]];
        if (a === undefined && b === undefined) continue;
        // f32 on both sides, summed in other orders.
        const error = Math.abs(a! - b!) / Math.max(Math.abs(b!), 0.1);
        t.true(error < 1e-4, `step ${i + 1}, ${key}: ${a} and ${b}`);
      }
    });
  });
}
