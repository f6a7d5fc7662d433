// Runs the command line in a process of its own, as users do.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import PQueue from 'p-queue';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly outcome: Promise<Outcome>;
  /** When the text first stands in standard error. */
  said(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

export const start = (args: readonly string[], input = ''): Running => {
  const child = spawn(
    process.execPath,
    ['--enable-source-maps', '--import=./scripts/register-ts.mjs', 'src/cli/main.ts', ...args],
    // A process that hangs is a failure, not an endless test.
    { timeout: 240_000, killSignal: 'SIGKILL' },
  );
  const out = { stdout: '', stderr: '' };
  const waiting: { text: string; done: () => void }[] = [];
  child.stdout.on('data', (text) => (out.stdout += String(text)));
  child.stderr.on('data', (text) => {
    out.stderr += String(text);
    for (const each of waiting) if (out.stderr.includes(each.text)) each.done();
  });
  child.stdin.end(input);
  const outcome = new Promise<Outcome>((done, fail) => {
    child.on('error', fail);
    child.on('close', (code) => {
      for (const each of waiting) each.done();
      done({ code, ...out });
    });
  });
  return {
    outcome,
    said: (text) => new Promise((done) => waiting.push({ text, done })),
    kill: (signal) => child.kill(signal),
  };
};

// More at once than processors would only make each of them late.
const queue = new PQueue({ concurrency: 2 });

export const cli = (args: readonly string[], input = ''): Promise<Outcome> =>
  queue.add(() => start(args, input).outcome);

/** Removed when the test ends. */
export const scratch = async (t: ExecutionContext): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'alignlab-cli-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
};

export const writeLines = async (path: string, rows: readonly object[]): Promise<string> => {
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
};

export const readLines = async (path: string): Promise<Record<string, number>[]> =>
  (await readFile(path, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);
