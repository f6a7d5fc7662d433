// alignlab verify: does this checkpoint compute here what it computed elsewhere?
import { Command } from 'commander';
import { type Comparison, compareWithReference } from '../../evaluation/reference.js';
import { print, table } from '../output.js';

const row = ({ quantity, error, tolerance, unit, where, passes }: Comparison): string[] => [
  passes ? 'ok' : 'FAILED',
  quantity,
  error === 0 ? '0' : error.toExponential(1),
  `<= ${tolerance} ${unit}`,
  where,
];

/** Of each kind of quantity (all gradients, all steps) the three worst; everything that fails. */
const shortened = (rows: readonly Comparison[]): Comparison[] => {
  const shown = new Map<string, number>();
  return rows.filter((comparison) => {
    const kind = comparison.quantity.split(' ').slice(0, 2).join(' ');
    const before = shown.get(kind) ?? 0;
    shown.set(kind, before + 1);
    return before < 3 || !comparison.passes;
  });
};

export const verifyCommand = new Command('verify')
  .description(
    'compare a checkpoint with reference values: log-probs, entropies, gradients, AdamW, greedy tokens',
  )
  .argument('<folder>', 'holds expected.safetensors and expected.json')
  .option('--model <folder>', 'the checkpoint, when it lies elsewhere')
  .option('--all', 'print every tensor, not only the worst')
  .option('--json', 'print one JSON array')
  .action(async (folder: string, options: { model?: string; all?: boolean; json?: boolean }) => {
    const rows = await compareWithReference(folder, options.model);
    const failed = rows.filter(({ passes }) => !passes).length;
    if (options.json) print(JSON.stringify(rows));
    else {
      const list = options.all ? rows : shortened(rows);
      print(table([['', 'quantity', 'largest error', 'tolerance', 'where'], ...list.map(row)]));
      print(`${rows.length - failed} of ${rows.length} comparisons hold`);
    }
    if (failed > 0) process.exitCode = 1;
  });
