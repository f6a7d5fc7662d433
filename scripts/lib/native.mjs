// Builds the addon, the native tests and the native benches through cmake-js, when their sources
// changed: a stamp in the build folder holds the hash of what they were built from.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ensureTools, hash } from './prepare.mjs';
import { root, run } from './run.mjs';

/** Every file below a folder, in a fixed order, as paths from the root. */
export function filesBelow(folder) {
  return readdirSync(path.join(root, folder), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const name = `${folder}/${entry.name}`;
      return entry.isDirectory() ? filesBelow(name) : [name];
    });
}

const onlyForTests = /^native\/(test|bench|reference)\//;

function sourceHash(goal) {
  const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
  const versions = ['node-addon-api', 'node-api-headers', 'cmake-js'].map(
    (name) => lock.packages[`node_modules/${name}`]?.version,
  );
  const files = ['CMakeLists.txt', ...filesBelow('cmake'), ...filesBelow('native')].filter(
    (file) => goal !== 'addon' || !onlyForTests.test(file),
  );
  const parts = files.map((file) => `${file} ${hash(readFileSync(path.join(root, file)))}`);
  return hash([process.arch, process.env.CXX ?? '', ...versions, ...parts].join('\n'));
}

/** Only one build of a folder at a time: a second waits until the first one's process has ended. */
async function withLock(folder, body) {
  const lock = path.join(folder, 'lock');
  mkdirSync(folder, { recursive: true });
  for (let told = false; ; told = true) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const owner = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : 0;
      if (owner > 0 && !existsSync(`/proc/${owner}`)) rmSync(lock, { force: true });
      else if (!told) console.log(`Waiting for the build of process ${owner} …`);
      await sleep(500);
    }
  }
  try {
    return await body();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** A tree that was moved, or a generator that is gone, makes CMake refuse its own cache. */
function dropStrangeCache(folder) {
  const cache = path.join(folder, 'CMakeCache.txt');
  if (!existsSync(cache)) return;
  const text = readFileSync(cache, 'utf8');
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(text)?.[1] ?? '';
  const program = /^CMAKE_MAKE_PROGRAM:\w+=(.*)$/m.exec(text)?.[1] ?? '';
  if (path.resolve(home) !== path.resolve(root) || !existsSync(program)) {
    rmSync(folder, { recursive: true });
  }
}

/**
 * goal: 'addon', 'tests' (the addon too), 'bench' (the addon too), or 'cuda', the library for GPUs
 * alone. Returns CMake's folder.
 * The AddressSanitizer build lives in a folder of its own, which node-gyp-build looks into only
 * when ALIGNLAB_PREBUILD names it (build-asan).
 */
export async function buildNative(goal, { asan = false, verbose = true } = {}) {
  const base = path.join(root, asan ? 'build-asan/build' : 'build');
  const cmakeFolder = path.join(base, 'cmake');
  const stamp = path.join(base, `built-${goal}`);
  const name = goal === 'cuda' ? 'alignlab_cuda.so' : 'alignlab.node';
  const made = path.join(base, 'Release', name);
  const fresh = () =>
    existsSync(made) && existsSync(stamp) && readFileSync(stamp, 'utf8') === sourceHash(goal);
  if (fresh()) return cmakeFolder;

  ensureTools();
  await withLock(base, () => {
    if (fresh()) return;
    const wanted = sourceHash(goal);
    dropStrangeCache(cmakeFolder);
    if (verbose) console.log(`Building the native ${goal} …`);
    const cmakeJs = path.join(root, 'node_modules', 'cmake-js', 'bin', 'cmake-js');
    const options = {
      CMAKE_LIBRARY_OUTPUT_DIRECTORY: path.join(base, 'Release'),
      ALIGNLAB_ASAN: asan ? 'ON' : 'OFF',
      ALIGNLAB_TESTS: 'ON',
      ALIGNLAB_BENCH: goal === 'bench' ? 'ON' : 'OFF',
      // ON: without nvcc it is an error that says so.
      ALIGNLAB_CUDA: goal === 'cuda' ? 'ON' : 'AUTO',
    };
    const common = ['--out', cmakeFolder, '--log-level', 'error'];
    // `cmake-js build` ignores options once a cache exists, so the options go to `configure`.
    run(process.execPath, [
      cmakeJs,
      'configure',
      ...common,
      ...Object.entries(options).map(([name, value]) => `--CD${name}=${value}`),
    ]);
    const only = { addon: 'alignlab', cuda: 'alignlab_cuda' }[goal];
    const target = only ? ['--target', only] : [];
    const jobs = String(os.availableParallelism());
    run(process.execPath, [cmakeJs, 'build', ...common, '--parallel', jobs, ...target]);
    writeFileSync(stamp, wanted);
  });
  return cmakeFolder;
}

/** Runs the native tests of a build; returns their numbers. */
export function runNativeTests(cmakeFolder) {
  const report = path.join(cmakeFolder, 'ctest.xml');
  rmSync(report, { force: true });
  let crashed = false;
  try {
    const jobs = String(os.availableParallelism());
    const options = ['--parallel', jobs, '--output-on-failure', '--output-junit', report];
    run('ctest', ['--test-dir', cmakeFolder, ...options]);
  } catch {
    crashed = true; // the report says what failed
  }
  const text = existsSync(report) ? readFileSync(report, 'utf8') : '';
  const count = (name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(text)?.[1] ?? 0);
  const failed = count('failures');
  const passed = count('tests') - failed - count('skipped') - count('disabled');
  return { passed, failed: crashed || passed === 0 ? Math.max(failed, 1) : failed };
}
