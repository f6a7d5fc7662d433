// alignlab eval: a policy measured on held-out rows, with intervals.
import { Command } from 'commander';
import { chosenMetrics, measure, type Measurement } from '../evaluate/measure.js';
import {
  type EvaluationFlags,
  addEvaluationOptions,
  loadFrozen,
  openBench,
} from '../evaluate/options.js';
import { checkpointFolder, print, table } from '../output.js';

interface Flags extends EvaluationFlags {
  readonly model?: string;
}

export const figure = (value: number | null): string => {
  if (value === null || !Number.isFinite(value)) return '-';
  return Number.isSafeInteger(value) && Math.abs(value) >= 2 ? `${value}` : value.toPrecision(4);
};

const row = ({ name, value, interval, about = '' }: Measurement): string[] => [
  name,
  figure(value),
  interval ? `${figure(interval[0])} to ${figure(interval[1])}` : '',
  about,
];

export const evalCommand = addEvaluationOptions(
  new Command('eval')
    .helpGroup('Evaluation:')
    .description(
      'measure a policy: KL, win rate, score, accuracy on pairs, perplexity, best of n (95 % intervals)',
    )
    .argument('[policy]', 'folder of a checkpoint, or a run folder')
    .option('--model <folder>', 'the same, as an option'),
).action(async (argument: string | undefined, flags: Flags) => {
  const name = checkpointFolder(argument, flags.model);
  const bench = await openBench(name, flags);
  try {
    const metrics = chosenMetrics(bench);
    await using policy = await loadFrozen(name, flags);
    const found = await measure(policy, bench, metrics);
    if (flags.json) print(JSON.stringify({ policy: name, measurements: found }));
    else print(table([['', 'value', '95 % interval', ''], ...found.map(row)]));
  } finally {
    await bench.dispose();
  }
});
