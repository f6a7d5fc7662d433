// Steps of a long check: each is a program with a time limit, a log of its own and a verdict.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { clearTimeout, setTimeout } from 'node:timers';
import { root } from './run.mjs';

/** Ends a program and all that it has started. */
const kill = (child) => {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL'); // it has just ended by itself
  }
};

/** Runs a program; what it prints goes to `log`. {code, timedOut, output}; code null: not started. */
export async function runLimited(command, args, { seconds, log, env = {} }) {
  mkdirSync(path.dirname(log), { recursive: true });
  const file = createWriteStream(log);
  const child = spawn(command, args, {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    kill(child);
  }, seconds * 1000);
  child.stdout.pipe(file, { end: false });
  child.stderr.pipe(file, { end: false });
  const code = await new Promise((resolve) => {
    child.on('error', (error) => file.write(`${error.message}\n`, () => resolve(null)));
    child.on('close', resolve);
  });
  clearTimeout(timer);
  await new Promise((resolve) => file.end(resolve));
  return { code, timedOut, output: readFileSync(log, 'utf8') };
}

/** "12 passed, 0 failed" lines added up; '' where there is none. */
export function totals(output) {
  const lines = [...output.matchAll(/^(\d+) passed, (\d+) failed$/gm)];
  const sum = (index) => lines.reduce((total, line) => total + Number(line[index]), 0);
  return lines.length === 0 ? '' : `${sum(1)} passed, ${sum(2)} failed`;
}

const tailLines = 15;

/**
 * The steps of one check. `minutes` is for all of them together: what would start later is skipped,
 * and what runs then ends.
 */
export class Steps {
  #rows = [];
  #folder;
  #end;

  constructor(folder, minutes) {
    this.#folder = folder;
    this.#end = Date.now() + minutes * 60_000;
  }

  #note(name, verdict, seconds, detail) {
    this.#rows.push({ name, verdict, seconds, detail });
    console.log(`${verdict.padEnd(8)} ${name} (${seconds.toFixed(0)} s) ${detail}`);
  }

  skip(name, reason) {
    this.#note(name, 'skipped', 0, reason);
  }

  pass(name, detail) {
    this.#note(name, 'passed', 0, detail);
  }

  fail(name, detail) {
    this.#note(name, 'FAILED', 0, detail);
  }

  /** Whether the program ended with 0 in time. `detail(output)` is what the table says then. */
  async run(name, command, args, { seconds, env, detail = totals }) {
    const left = (this.#end - Date.now()) / 1000;
    if (left < 5) {
      this.skip(name, 'no time was left');
      return false;
    }
    const limit = Math.min(seconds, left);
    const log = path.join(this.#folder, `${name.replaceAll(/\W+/g, '-')}.log`);
    const start = Date.now();
    const result = await runLimited(command, args, { seconds: limit, log, env });
    const took = (Date.now() - start) / 1000;
    if (result.timedOut) {
      this.#note(name, 'FAILED', took, `not done after ${limit.toFixed(0)} s; ${log}`);
      return false;
    }
    if (result.code === 0) {
      this.#note(name, 'passed', took, detail(result.output));
      return true;
    }
    const last = result.output.trimEnd().split('\n').slice(-tailLines);
    for (const line of last) console.log(`         | ${line}`);
    this.#note(name, 'FAILED', took, `${totals(result.output)} code ${result.code}; ${log}`.trim());
    return false;
  }

  get failed() {
    return this.#rows.filter(({ verdict }) => verdict === 'FAILED').length;
  }

  table() {
    const width = Math.max(4, ...this.#rows.map(({ name }) => name.length));
    const line = (name, verdict, seconds, detail) =>
      `${name.padEnd(width)}  ${verdict.padEnd(8)} ${seconds.padStart(7)}  ${detail}`;
    return [
      line('step', 'verdict', 'seconds', 'detail'),
      ...this.#rows.map(({ name, verdict, seconds, detail }) =>
        line(name, verdict, seconds.toFixed(0), detail),
      ),
    ].join('\n');
  }
}
