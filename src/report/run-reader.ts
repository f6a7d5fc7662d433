// Reads what a run left in its folder, also while it is still running or after it was killed.
import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { type JsonObject, isObject, readJsonFile, show } from '../checkpoint/json.js';
import { AlignlabError, fromSystem } from '../errors.js';
import type { Point } from './chart.js';

export interface LogLine {
  readonly step: number;
  /** By TRL's names; NaN and infinities as the run logged them. */
  readonly values: Readonly<Record<string, number>>;
}

export interface RunLog {
  /** The folder's own name. */
  readonly name: string;
  /** Null before the first step. */
  readonly manifest: JsonObject | null;
  /** By step. */
  readonly steps: readonly LogLine[];
  /** Lines of evaluations, with their 'eval_' in front, in the order of the log. */
  readonly evaluations: readonly LogLine[];
  /** True when the last line was cut off, and left out. */
  readonly cut: boolean;
}

const specials: Readonly<Record<string, number>> = { NaN, Infinity, '-Infinity': -Infinity };

const numberOf = (value: unknown): number | undefined => {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && Object.hasOwn(specials, value) ? specials[value] : undefined;
};

const parsed = (line: string): unknown => {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
};

const lineOf = (text: string, place: string): LogLine => {
  const value = parsed(text);
  if (!isObject(value) || !Number.isSafeInteger(value.step) || Number(value.step) < 0) {
    throw new AlignlabError(
      'RUN_INVALID',
      `${place} must be a JSON object with a step from 0 up, found ${show(value ?? text)}. ` +
        'Restore the file, or take the line out.',
    );
  }
  const entries = Object.entries(value).flatMap(([name, entry]) => {
    const number = name === 'step' ? undefined : numberOf(entry);
    return number === undefined ? [] : [[name, number] as const];
  });
  return { step: Number(value.step), values: Object.fromEntries(entries) };
};

const readLines = async (path: string): Promise<{ lines: LogLine[]; cut: boolean }> => {
  const bytes = await readFile(path).catch((cause: unknown) => {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
    throw fromSystem(cause, `read ${path}`);
  });
  const texts = (bytes?.toString('utf8') ?? '').split('\n');
  const rest = texts.pop()!.trim();
  // A whole object needs no line end: files that people wrote often lack the last one.
  const cut = rest !== '' && !isObject(parsed(rest));
  if (rest !== '' && !cut) texts.push(rest);
  const lines = texts.flatMap((text, i) =>
    text.trim() === '' ? [] : [lineOf(text, `${path}:${i + 1}`)],
  );
  return { lines, cut };
};

const isEvaluation = ({ values }: LogLine): boolean => {
  const names = Object.keys(values);
  return names.length > 0 && names.every((name) => name.startsWith('eval_'));
};

/**
 * Reads manifest.json and metrics.jsonl. A last line that a killed or running process has not ended
 * is left out; a step that was logged twice counts as logged last. Throws IO_FAILED when there is no
 * such folder, RUN_INVALID, with file and line, for anything else that cannot be read.
 */
export const readRun = async (folder: string): Promise<RunLog> => {
  const about = await stat(folder).catch((cause: unknown) => {
    throw fromSystem(cause, `read the run in ${folder}`);
  });
  if (!about.isDirectory()) {
    throw new AlignlabError('RUN_INVALID', `${folder} is a file. Name the folder of a run.`);
  }
  const manifest = await readJsonFile(join(folder, 'manifest.json'), 'RUN_INVALID');
  const { lines, cut } = await readLines(join(folder, 'metrics.jsonl'));
  if (!manifest && lines.length === 0 && !cut) {
    throw new AlignlabError(
      'RUN_INVALID',
      `${folder} has neither manifest.json nor metrics.jsonl, so it holds no run. Name a folder ` +
        'that a training run wrote.',
    );
  }
  const steps = new Map(
    lines.filter((line) => !isEvaluation(line)).map((line) => [line.step, line] as const),
  );
  return {
    name: basename(resolve(folder)),
    manifest: manifest?.value ?? null,
    steps: [...steps.values()].sort((a, b) => a.step - b.step),
    evaluations: lines.filter(isEvaluation),
    cut,
  };
};

/** One metric over the steps, ready for a figure; steps that did not log it are left out. */
export const curve = (lines: readonly LogLine[], metric: string): Point[] =>
  lines.flatMap(({ step, values }) => {
    const y = values[metric];
    return y === undefined ? [] : [{ x: step, y }];
  });
