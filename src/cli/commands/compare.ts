// alignlab compare: several policies or runs side by side. With rows they are measured on them;
// without, run folders show what their logs say last.
import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { Command } from 'commander';
import { parse } from 'yaml';
import { type JsonObject, isObject } from '../../checkpoint/json.js';
import { AlignlabError, fromSystem } from '../../errors.js';
import { readJsonLines } from '../../training/json-text.js';
import { invalid } from '../config/layers.js';
import { type Measurement, chosenMetrics, measure } from '../evaluate/measure.js';
import {
  type EvaluationFlags,
  addEvaluationOptions,
  loadFrozen,
  openBench,
} from '../evaluate/options.js';
import { print, table } from '../output.js';
import { figure } from './eval.js';

type Values = ReadonlyMap<string, string>;

/** Names of folders, as short as they can be told apart. */
const labels = (folders: readonly string[]): string[] => {
  const short = folders.map((folder) => basename(resolve(folder)));
  return new Set(short).size === short.length ? short : [...folders];
};

const sideBySide = (names: readonly string[], columns: readonly Values[]): string => {
  const keys = [...new Set(columns.flatMap((column) => [...column.keys()]))];
  const rows = keys.map((key) => [key, ...columns.map((column) => column.get(key) ?? '-')]);
  return table([['', ...names], ...rows]);
};

const lastMetrics = async (folder: string): Promise<Values> => {
  const path = join(folder, 'metrics.jsonl');
  const lines = await readJsonLines(path).catch((cause: unknown) => {
    if (cause instanceof AlignlabError) throw cause;
    throw fromSystem(cause, `read ${path}`);
  });
  const last: Record<string, unknown> = {};
  for (const line of lines) Object.assign(last, line);
  return new Map(
    Object.entries(last).flatMap(([key, value]) =>
      typeof value === 'number' ? [[key, figure(value)] as const] : [],
    ),
  );
};

const configOf = async (folder: string): Promise<JsonObject> => {
  const text = await readFile(join(folder, 'config.yaml'), 'utf8').catch(() => '');
  const value: unknown = parse(text) ?? {};
  return isObject(value) ? value : {};
};

/** Keys in which the configurations differ. */
const differing = (configs: readonly JsonObject[]): readonly Values[] => {
  const keys = [...new Set(configs.flatMap(Object.keys))].filter(
    (key) => new Set(configs.map((config) => JSON.stringify(config[key]))).size > 1,
  );
  return configs.map(
    (config) => new Map(keys.map((key) => [key, JSON.stringify(config[key]) ?? '-'] as const)),
  );
};

const compareRuns = async (folders: readonly string[]): Promise<void> => {
  const names = labels(folders);
  const metrics: Values[] = [];
  for (const folder of folders) metrics.push(await lastMetrics(folder));
  const configs = differing(await Promise.all(folders.map(configOf)));
  print('At the last step:');
  print(sideBySide(names, metrics));
  if (configs.every((column) => column.size === 0)) return;
  print('\nSettings that differ:');
  print(sideBySide(names, configs));
};

const cell = ({ value, interval }: Measurement): string =>
  interval ? `${figure(value)} (${figure(interval[0])} to ${figure(interval[1])})` : figure(value);

const comparePolicies = async (
  folders: readonly string[],
  flags: EvaluationFlags,
): Promise<void> => {
  const bench = await openBench(folders[0] ?? '', flags);
  try {
    const metrics = chosenMetrics(bench);
    const found: Measurement[][] = [];
    for (const folder of folders) {
      await using policy = await loadFrozen(folder, flags);
      found.push(await measure(policy, bench, metrics));
    }
    if (flags.json) {
      print(JSON.stringify(folders.map((policy, i) => ({ policy, measurements: found[i] }))));
      return;
    }
    const columns = found.map((list) => new Map(list.map((each) => [each.name, cell(each)])));
    print(sideBySide(labels(folders), columns));
  } finally {
    await bench.dispose();
  }
};

export const compareCommand = addEvaluationOptions(
  new Command('compare')
    .helpGroup('Evaluation:')
    .description('policies or run folders side by side: measured on --dataset, or by their logs')
    .argument('<policies...>', 'folders of checkpoints or runs'),
).action(async (folders: readonly string[], flags: EvaluationFlags) => {
  if (folders.length < 2) throw invalid('Name two policies or runs at least.');
  if (flags.dataset === undefined) await compareRuns(folders);
  else await comparePolicies(folders, flags);
});
