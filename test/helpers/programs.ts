// Runs a TypeScript program of test/engine/programs in a process of its own.
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export const runProgram = (
  name: string,
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<Outcome> =>
  new Promise((done, fail) => {
    const child = spawn(
      process.execPath,
      [
        '--enable-source-maps',
        '--expose-gc',
        '--import=./scripts/register-ts.mjs',
        resolve('test/engine/programs', name),
        ...args,
      ],
      // A program that hangs is a failure, not an endless test.
      { env: { ...process.env, ...environment }, timeout: 600_000, killSignal: 'SIGKILL' },
    );
    const out = { stdout: '', stderr: '' };
    child.stdout.on('data', (text) => (out.stdout += String(text)));
    child.stderr.on('data', (text) => (out.stderr += String(text)));
    child.on('error', fail);
    child.on('close', (code, signal) => {
      done({ code, signal, ...out });
    });
  });
