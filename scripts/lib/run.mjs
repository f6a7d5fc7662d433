// Running other programs, for the scripts: plain Node, no packages, so that they work in a fresh clone.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** A failure whose sentence is all that the user needs; its stack is not printed. */
export class Failure extends Error {}

/** Runs a program with the terminal attached. Throws a Failure when it does not end with 0. */
export function run(command, args, { cwd = root, env = {} } = {}) {
  const { status, error } = spawnSync(command, args, {
    cwd,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (error) throw new Failure(`${command} cannot be run: ${error.message}`);
  if (status !== 0) throw new Failure(`${[command, ...args].join(' ')} failed`);
}

/** What a program prints; undefined when it cannot be run or fails. */
export function output(command, args, { cwd = root } = {}) {
  const { status, stdout } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  return status === 0 ? stdout : undefined;
}

/** The file of a package's program, to be run with node. */
export const tool = (name) => path.join(root, 'node_modules', '.bin', name);

/** node with TypeScript, as `npm run ts` has it. */
export const typescriptFlags = ['--enable-source-maps', '--import', './scripts/register-ts.mjs'];

/** Runs a script's body; a Failure ends it with its sentence and exit code 1. */
export async function main(body) {
  try {
    await body();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    console.error(`\nalignlab: ${error.message}`);
    process.exitCode = 1;
  }
}
