// npm run check-cuda: compiles the CUDA kernels for one architecture or more (default sm_80 and sm_90a)
// where nvcc is, and fails when one that has to be fast keeps registers in memory or waits where it
// should not. Nothing is run: this machine needs no GPU. The instructions themselves are looked at where
// cuobjdump and nvdisasm are: on the PATH, in CUDA's folder, or in the one that ALIGNLAB_CUDA_TOOLS names.
// node scripts/check-cuda.mjs [80 90a ...] [--only PART_OF_A_FILE'S_NAME]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { filesBelow } from './lib/native.mjs';
import { main, root } from './lib/run.mjs';

/** Spills that are known: cmake/cuda-spills.txt says which, and why they may stay. */
const allowed = readFileSync(path.join(root, 'cmake/cuda-spills.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => new RegExp(line));

/** Instructions that the kernels of a source are written for; for other architectures they have no body. */
const wanted = [
  {
    source: /(hopper_product|linear_activation_gradient)\.cu$/,
    kernel: /HopperProductKernel/,
    architecture: '90a',
    instructions: ['HGMMA', 'UTMALDG', 'USETMAXREG'],
    readAhead: 16,
  },
  {
    source: /(linear_activation|hopper_head|head_slabs)\.cu$/,
    kernel: /HopperProductKernel/,
    architecture: '90a',
    instructions: ['HGMMA', 'UTMALDG', 'USETMAXREG'],
  },
  {
    source: /hopper_attention\.cu$/,
    kernel: /HopperAttendKernel/,
    architecture: '90a',
    instructions: ['HGMMA', 'UTMALDG', 'USETMAXREG'],
    // Exponentials, while the newest products are under way: ptxas is free to wait for those first.
    overlapped: { name: 'MUFU.EX2', newest: 1 },
  },
  ...['Query', 'Key'].map((of) => ({
    source: new RegExp(`hopper_${of.toLowerCase()}_gradient\\.cu$`),
    kernel: new RegExp(`Hopper${of}Kernel`),
    architecture: '90a',
    instructions: ['HGMMA', 'UTMALDG', 'USETMAXREG'],
    overlapped: { name: 'MUFU.EX2', newest: 2 },
  })),
];

/** What ptxas says where it lets products of a warpgroup wait: C7508, C7510 and their neighbours. */
const serialized = /\(C75\d\d\).*/g;

const cudaFolders = () =>
  [
    process.env.ALIGNLAB_CUDA_TOOLS,
    process.env.CUDA_HOME && path.join(process.env.CUDA_HOME, 'bin'),
  ]
    .concat('/usr/local/cuda/bin')
    .filter(Boolean);

/** The environment in which cuobjdump finds nvdisasm, or null where one of them is missing. */
const findDisassembler = () => {
  const env = { ...process.env, PATH: [process.env.PATH, ...cudaFolders()].join(path.delimiter) };
  const runs = (tool) => spawnSync(tool, ['--version'], { env }).status === 0;
  return runs('cuobjdump') && runs('nvdisasm') ? env : null;
};

const compile = (source, architecture, object) => {
  const flags = ['-std=c++20', '-O3', '--fmad=false', '-Xptxas', '-v', '-I', 'native'];
  const target = `-gencode=arch=compute_${architecture},code=sm_${architecture}`;
  return spawnSync('nvcc', [...flags, target, '-c', source, '-o', object], {
    cwd: root,
    encoding: 'utf8',
  });
};

/** [{kernel, registers, spilled}] of ptxas -v. */
const kernelsOf = (log) =>
  log
    .split('Compiling entry function')
    .slice(1)
    .map((part) => ({
      kernel: /'([^']+)'/.exec(part)?.[1] ?? '?',
      registers: Number(/Used (\d+) registers/.exec(part)?.[1] ?? 0),
      spilled: Number(/(\d+) bytes spill stores/.exec(part)?.[1] ?? 0),
    }));

/** [{kernel, instructions, text}]: the names of the instructions that each has, and all of them. */
const instructionsOf = (object, env) => {
  const options = { env, encoding: 'utf8', maxBuffer: 2 ** 30 };
  const { status, stdout, stderr } = spawnSync('cuobjdump', ['-sass', object], options);
  if (status !== 0) throw new Error(`cuobjdump failed: ${stderr}`);
  return stdout
    .split('Function : ')
    .slice(1)
    .map((part) => ({
      kernel: part.slice(0, part.indexOf('\n')).trim(),
      text: part,
      instructions: new Set(
        Array.from(
          part.matchAll(/^\s+\/\*[\da-f]+\*\/\s+(?:@!?U?P\w+ )?([A-Z\d]+)/gm),
          ([, name]) => name,
        ),
      ),
    }));
};

/** Whether an instruction stands between the wait for all products but the newest and the next wait, not behind it. */
const isOverlapped = (text, { name, newest }) => {
  const wait = 'WARPGROUP.DEPBAR.LE gsb0, 0x';
  const [, under = '', behind = ''] = text.slice(text.indexOf(`${wait}${newest}`)).split(wait);
  return under.includes(name) && !behind.includes(name);
};

/** The most loads from global memory with no store between them. */
const loadsAhead = (text) =>
  Math.max(...text.split(/\bSTG\b/).map((part) => part.match(/\bLDG\b/g)?.length ?? 0));

const missingInstructions = (kernels, source, architecture) =>
  wanted
    .filter((of) => of.source.test(source) && of.architecture === architecture)
    .flatMap((of) => {
      const written = kernels.filter(({ kernel }) => of.kernel.test(kernel));
      if (written.length === 0) return [`no kernel is named ${of.kernel.source}`];
      return written.flatMap(({ kernel, instructions, text }) => [
        ...of.instructions
          .filter((name) => !instructions.has(name))
          .map((name) => `${kernel}: has no ${name}`),
        ...(of.overlapped && !isOverlapped(text, of.overlapped)
          ? [`${kernel}: waits for products before its ${of.overlapped.name}`]
          : []),
        ...(of.readAhead && loadsAhead(text) < of.readAhead
          ? [`${kernel}: stores before it has asked for what it reads next`]
          : []),
      ]);
    });

/** Sentences on what is wrong with the instructions of a source's kernels. */
const badInstructions = (kernels, source, architecture) => [
  ...kernels
    .filter(({ kernel }) => !allowed.some((name) => name.test(kernel)))
    .filter(({ instructions }) => instructions.has('LDL') || instructions.has('STL'))
    .map(({ kernel }) => `${kernel}: keeps values in local memory`),
  ...missingInstructions(kernels, source, architecture),
];

/** Compiles a source; true when all is well. */
const check = (source, architecture, object, disassembler) => {
  const { status, stderr, stdout } = compile(source, architecture, object);
  const log = `${stdout}${stderr}`;
  const kernels = kernelsOf(log);
  const spills = kernels.filter(({ spilled }) => spilled > 0);
  const bad = spills.filter(({ kernel }) => !allowed.some((name) => name.test(kernel)));
  const faults = log.match(serialized) ?? [];
  if (status === 0 && disassembler) {
    faults.push(...badInstructions(instructionsOf(object, disassembler), source, architecture));
  }
  const most = Math.max(0, ...kernels.map(({ registers }) => registers));
  const ok = status === 0 && bad.length === 0 && faults.length === 0;
  console.log(
    `${ok ? 'ok' : 'not ok'} sm_${architecture} ${source}: ${kernels.length} kernels, at most ` +
      `${most} registers`,
  );
  for (const { kernel, spilled } of spills) console.log(`  ${kernel}: ${spilled} bytes spilled`);
  for (const fault of faults) console.log(`  ${fault}`);
  if (status !== 0) console.log(stderr.slice(0, 2000));
  return ok;
};

await main(() => {
  if (spawnSync('nvcc', ['--version']).error) {
    console.log('skipped: there is no nvcc here, so no CUDA kernel was compiled');
    return;
  }
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { only: { type: 'string', default: '' } },
  });
  const disassembler = findDisassembler();
  if (!disassembler) {
    console.log(
      'skipped: no cuobjdump and nvdisasm here, so no instruction was looked at ' +
        '(ALIGNLAB_CUDA_TOOLS names their folder)',
    );
  }
  const sources = filesBelow('native/cuda').filter(
    (file) => file.endsWith('.cu') && file.includes(values.only),
  );
  const folder = mkdtempSync(path.join(os.tmpdir(), 'alignlab-cuda-'));
  const results = [];
  try {
    for (const architecture of positionals.length > 0 ? positionals : ['80', '90a']) {
      for (const source of sources) {
        results.push(check(source, architecture, path.join(folder, 'kernel.o'), disassembler));
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  const failed = results.filter((ok) => !ok).length;
  console.log(`\n${results.length - failed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
});
