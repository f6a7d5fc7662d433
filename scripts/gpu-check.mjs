// npm run gpu-check: everything that has to be shown on a GPU, in one run of under ten minutes and
// without network: the build, operations, goldens, exactness, sanitizers, a short bench; then one table.
// Where there is no GPU it says so and checks what it can.
//   --library FILE   a CUDA library that is built already (the emulated one, too)
//   --minutes N      for all steps together (default 9.5)
//   --only a,b       of build, operations, programs, goldens, engine, sanitizers, bench
//   --bench "…"      other options of npm run bench
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ensurePackages } from './lib/prepare.mjs';
import { Failure, main, output, root, typescriptFlags } from './lib/run.mjs';
import { Steps } from './lib/steps.mjs';

const cmakeFolder = path.join(root, 'build/cmake');
// The library of this check is for one GPU only: it stays apart from what is packed.
const own = path.join(root, 'build/gpu-check');
const built = path.join(own, 'alignlab_cuda.so');

// Tests of operations, small ones: a sanitizer makes kernels ten to a hundred times slower.
const sanitized = ['op_split_weight', 'op_rows', 'op_qkv', 'control_losses', 'control_critics'];
const programs = ['cuda-agreement', 'cuda-fast', 'cuda-learner'];
// Tests of the engine whose models lie on the device that ALIGNLAB_DEVICE names. The others are about
// the CPU: its threads and instruction sets, the budget of the host's memory.
const engine = [
  ...['exactness', 'gradients', 'forests', 'generation', 'optimizer', 'save'],
  ...['kl', 'clone', 'mixture', 'scalars', 'blocks', 'bad-input', 'bad-weights', 'abort'],
  ...['lifecycle'],
];

const options = () => {
  const { values } = parseArgs({
    options: {
      library: { type: 'string' },
      minutes: { type: 'string', default: '9.5' },
      only: { type: 'string' },
      bench: { type: 'string' },
    },
  });
  return { ...values, wants: (step) => !values.only || values.only.split(',').includes(step) };
};

/** What the machine has, by the tools that say so. */
function describeMachine(steps) {
  const query = '--query-gpu=name,driver_version,memory.total,compute_cap';
  const gpu = output('nvidia-smi', [query, '--format=csv,noheader'])?.trim().split('\n')[0];
  if (gpu) steps.pass('gpu and driver', gpu);
  else steps.skip('gpu and driver', 'nvidia-smi finds no GPU here');
  const toolkit = /release ([\d.]+)/.exec(output('nvcc', ['--version']) ?? '')?.[1];
  if (toolkit) steps.pass('toolkit', `nvcc ${toolkit}`);
  else steps.skip('toolkit', 'there is no nvcc on the PATH');
  // "9.0" → "90a": Hopper's own instructions belong to that architecture only.
  const capability = gpu?.split(', ').at(-1)?.replace('.', '');
  return { capability: capability === '90' ? '90a' : capability, toolkit };
}

/** The addon and the native tests, then the CUDA library for this GPU alone. */
async function build(steps, { capability, toolkit }, { library }) {
  const node = process.execPath;
  for (const [title, goal] of [
    ['addon and tests', 'tests'],
    ['benches', 'bench'],
  ]) {
    const args = ['scripts/build.mjs', 'native', goal];
    await steps.run(`build: ${title}`, node, args, { seconds: 300, detail: () => '' });
  }
  if (library) return void steps.pass('build: CUDA library', `prebuilt: ${library}`);
  if (!capability) return void steps.skip('build: CUDA library', 'no GPU to build it for');
  if (!toolkit) return void steps.skip('build: CUDA library', 'no nvcc; give --library');
  const folder = path.join(own, 'cmake');
  const script =
    `cmake -S . -B "${folder}" -DALIGNLAB_ADDON=OFF -DALIGNLAB_CUDA=ON ` +
    `-DALIGNLAB_CUDA_ARCHITECTURES=${capability}-real -DCMAKE_LIBRARY_OUTPUT_DIRECTORY="${own}" && ` +
    `cmake --build "${folder}" --target alignlab_cuda --parallel ${os.availableParallelism()}`;
  await steps.run('build: CUDA library', 'sh', ['-c', script], {
    seconds: 300,
    detail: () => `sm_${capability}`,
  });
}

/** The device as the addon sees it, or the reason why there is none. */
function openDevice(asked) {
  const library = asked ? path.resolve(asked) : built;
  if (existsSync(library)) process.env.ALIGNLAB_CUDA_LIBRARY = library;
  else if (asked) throw new Failure(`There is no library ${library}.`);
  // In a process of its own: a library that is broken must not end this one.
  const script = `const { devices, reason } = require('node-gyp-build')('.').cuda();
    console.log(JSON.stringify({ device: devices[0] ?? null, reason }))`;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], {
    cwd: root,
    encoding: 'utf8',
  });
  try {
    return JSON.parse(stdout);
  } catch {
    return { device: null, reason: stderr.trim().split('\n').at(-1) || 'the addon does not load' };
  }
}

async function checkOperations(steps) {
  // Learners, too, but for what is about the CPU's threads.
  const tests = readdirSync(path.join(root, 'native/test')).filter((file) =>
    /^((op|control(?!_learner))_.*|step)_test\.cc$/.test(file),
  );
  for (const test of tests.map((file) => path.basename(file, '.cc'))) {
    const env = { ALIGNLAB_TEST_BACKENDS: 'device' };
    const program = path.join(cmakeFolder, test);
    await steps.run(`operations: ${test}`, program, [], { seconds: 90, env });
  }
}

async function checkEngine(steps, wants) {
  const env = { ALIGNLAB_DEVICE: 'cuda' };
  const detail = (text) => text.trim().split('\n').at(-1) ?? '';
  const program = (name, title, environment) => {
    const args = [...typescriptFlags, `test/engine/programs/${name}.ts`];
    return steps.run(title, process.execPath, args, { seconds: 120, env: environment, detail });
  };
  if (wants('programs')) {
    for (const name of programs) await program(name, `engine: ${name}`, env);
    const withoutGraphs = { ...env, ALIGNLAB_CUDA_GRAPHS: 'off' };
    for (const name of ['cuda-agreement', 'cuda-learner'])
      await program(name, `engine: ${name} without graphs`, withoutGraphs);
    const withoutHopper = { ...env, ALIGNLAB_CUDA_HOPPER: 'off' };
    await program('cuda-fast', "engine: cuda-fast without Hopper's instructions", withoutHopper);
  }
  const ava = (names) => [
    ...['scripts/test.mjs', '--no-build'],
    ...names.map((name) => `test/engine/${name}.test.ts`),
  ];
  if (wants('goldens')) {
    await steps.run('engine: goldens', process.execPath, ava(['goldens']), { seconds: 120, env });
  }
  if (!wants('engine')) return;
  // Several at once: each is a process of its own, and the GPU takes them in turns.
  const name = `engine: ${engine.length} files of tests`;
  await steps.run(name, process.execPath, ava(engine), { seconds: 240, env });
}

async function sanitize(steps) {
  const beside = path.join(
    path.dirname(output('which', ['nvcc'])?.trim() ?? ''),
    'compute-sanitizer',
  );
  const program = ['compute-sanitizer', beside, '/usr/local/cuda/bin/compute-sanitizer'].find(
    (name) => output(name, ['--version']) !== undefined,
  );
  for (const tool of ['memcheck', 'racecheck']) {
    if (!program) {
      steps.skip(`sanitizer: ${tool}`, 'there is no compute-sanitizer on the PATH');
      continue;
    }
    for (const name of sanitized) {
      const test = path.join(cmakeFolder, `${name}_test`);
      const args = ['--tool', tool, '--error-exitcode', '9', test];
      const env = { ALIGNLAB_TEST_BACKENDS: 'device' };
      await steps.run(`sanitizer: ${tool} ${name}`, program, args, { seconds: 90, env });
    }
  }
}

const short = '--models smol135m --works train,score,generate --repeats 2 --no-peer';
const shortEmulated =
  '--models tiny --works train,score,generate --repeats 1 --no-peer --batch 2 --length 12 --prompt 4 --new 4';

async function bench(steps, emulated, asked) {
  const json = path.join(own, 'bench.json');
  const args = (asked ?? (emulated ? shortEmulated : short)).split(' ');
  const detail = () =>
    JSON.parse(readFileSync(json, 'utf8'))
      .rows.map(({ model, work, ours, ours_share: share, unit }) => {
        return `${model} ${work} ${ours.toPrecision(3)} ${unit} (${(100 * share).toFixed(0)} %)`;
      })
      .join(', ');
  const command = ['scripts/bench.mjs', '--device', 'cuda', '--json', json, ...args];
  await steps.run('bench', process.execPath, command, { seconds: 180, detail });
  await benchLearners(steps, emulated);
}

/** One seed, and eight at once, which are to take less than eight times as long. */
async function benchLearners(steps, emulated) {
  const program = path.join(cmakeFolder, 'control_bench');
  const size = emulated
    ? ['--size', '32x32', '--updates', '2', '--rounds', '1']
    : ['--size', '256x256'];
  for (const algorithm of ['sac', 'h2o']) {
    for (const members of ['1', '8']) {
      const args = ['--device', 'cuda', '--algorithm', algorithm, '--members', members];
      await steps.run(
        `bench: learners, ${algorithm}, ${members} at once`,
        program,
        [...args, ...size],
        { seconds: 30, detail: (text) => /[\d.]+ ms/.exec(text)?.[0] ?? '' },
      );
    }
  }
}

await main(async () => {
  ensurePackages();
  const { wants, ...asked } = options();
  const steps = new Steps(own, Number(asked.minutes));
  const machine = describeMachine(steps);
  if (wants('build')) await build(steps, machine, asked);
  const { device, reason } = openDevice(asked.library);
  if (device) {
    const emulated = device.name.startsWith('emulated');
    steps.pass('device', `${device.name}; exact: false: ${device.fast || 'changes nothing'}`);
    if (wants('operations')) await checkOperations(steps);
    await checkEngine(steps, wants);
    if (wants('sanitizers') && emulated) steps.skip('sanitizer', 'the device is emulated');
    else if (wants('sanitizers')) await sanitize(steps);
    if (wants('bench')) await bench(steps, emulated, asked.bench);
  } else {
    // A GPU that the library does not open is a failure.
    if (machine.capability) steps.fail('device', reason);
    else steps.skip('device', reason);
    steps.skip('operations, engine, sanitizers, bench', 'they need a GPU, or --library');
  }
  console.log(`\n${steps.table()}`);
  if (steps.failed > 0) process.exitCode = 1;
});
